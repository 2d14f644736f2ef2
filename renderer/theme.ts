/** Mantine's theme: small type, tight spacing, quiet colours. Colours of our own stand in styles.css beside their use. */
import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from '@mantine/core';

const fontFamily = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/** A neutral ramp with a trace of blue; Mantine takes dark text, borders and surfaces from it. */
const dark: MantineColorsTuple = [
  '#dcdfe4',
  '#b9bec7',
  '#9aa1ac',
  '#6f7681',
  '#3b3f47',
  '#2b2e35',
  '#212329',
  '#191b20',
  '#131418',
  '#0e0f12',
];

export const theme = createTheme({
  fontFamily,
  fontFamilyMonospace:
    'ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace',
  headings: { fontFamily, fontWeight: '600' },
  primaryColor: 'indigo',
  primaryShade: { light: 8, dark: 8 },
  black: '#1c2024',
  colors: { dark },
  defaultRadius: 'sm',
  radius: { sm: '0.375rem', md: '0.5rem' },
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  spacing: { xs: '0.5rem', sm: '0.75rem', md: '1rem', lg: '1.25rem', xl: '1.75rem' },
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: 'xs' } },
    TextInput: { defaultProps: { size: 'sm' } },
    PasswordInput: { defaultProps: { size: 'sm' } },
    Select: { defaultProps: { size: 'sm', allowDeselect: false } },
    NativeSelect: { defaultProps: { size: 'sm' } },
    Checkbox: { defaultProps: { size: 'xs' } },
    // The page scrolls inside <main>, so there is no document scroll to lock (and no style element to add for it).
    ModalRoot: {
      defaultProps: {
        lockScroll: false,
        centered: false,
        yOffset: '8vh',
        returnFocus: false,
        transitionProps: { duration: 90 },
      },
    },
    Menu: { defaultProps: { shadow: 'md', transitionProps: { duration: 0 } } },
    Tooltip: { defaultProps: { openDelay: 300, transitionProps: { duration: 80 } } },
  },
});

/** Mantine's own dimmed, placeholder and error colours fall short of WCAG's contrast 4.5:1 on these surfaces. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#5f6670',
    '--mantine-color-placeholder': '#6b727c',
    '--mantine-color-error': '#c92a2a',
    '--mantine-color-default-border': '#d3d7de',
  },
  dark: {
    '--mantine-color-dimmed': '#9aa1ac',
    '--mantine-color-placeholder': '#868d98',
    '--mantine-color-error': '#ff8787',
    '--mantine-color-default-border': '#3b3f47',
  },
});

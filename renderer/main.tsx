// First: it tells zod how to parse under this page's policy, before any schema is made.
import { styleNonce } from './csp.ts';
import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
// In this order: what comes later is more particular.
import './styles.css';
import './ui/frame.css';
import './ui/page.css';
import './ui/tables.css';
import './ui/dialogs.css';
import './ui/charts.css';
import './keys/keys.css';
import './limits/limits.css';
import './activity/activity.css';
import './settings/settings.css';
import './ui/forced-colors.css';
import { MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { start } from './actions.ts';
import { App } from './App.tsx';
import { cssVariables, theme } from './theme.ts';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');

start();

createRoot(root).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      cssVariablesResolver={cssVariables}
      defaultColorScheme="auto"
      getStyleNonce={styleNonce}
    >
      <Notifications position="bottom-right" autoClose={8000} />
      <App />
    </MantineProvider>
  </StrictMode>,
);

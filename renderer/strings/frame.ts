/** The command palette and the keyboard shortcuts. */
export const frame = {
  palette: {
    open: 'Search and commands',
    search: 'Search',
    /** Read out after what is seen of the button. */
    hidden: 'and commands',
    placeholder: 'Go to a page or key, or run a command',
    nothing: 'Nothing matches.',
    pages: 'Go to',
    keys: 'API keys',
    actions: 'Commands',
    newKey: 'Create API key',
    addProvider: 'Add provider',
    setPrice: 'Set price',
    copyAddress: 'Copy gateway address',
    theme: { system: 'Theme: follow the system', light: 'Theme: light', dark: 'Theme: dark' },
    shortcuts: 'Keyboard shortcuts',
    limitOf: (name: string) => `Edit usage limit of ${name}`,
    moreKeys: 'Type to find a key',
  },
  shortcuts: {
    title: 'Keyboard shortcuts',
    thenPress: 'then',
    palette: 'Search and commands',
    newKey: 'Create API key',
    filter: 'Find in the list',
    undo: 'Undo the last change while its message is shown',
    help: 'This list',
    goTo: (page: string) => `Go to ${page}`,
  },
} as const;

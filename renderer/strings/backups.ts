/** Backups of the ledger, and what restoring one means. */
export const backups = {
  title: 'Backups',
  text: 'Keys, limits, prices, settings and usage are copied once a day. Copies are kept for a week, then one a week for four weeks.',
  none: 'There is no backup yet. The first one is made shortly after Faregate starts.',
  columns: { made: 'Made', size: 'Size' },
  create: 'Back up now',
  created: 'Backup made.',
  notCreated: 'No backup was made',
  restore: 'Restore',
  restoreOf: (when: string) => `Restore the backup of ${when}`,
  dialog: {
    title: (when: string) => `Restore the backup of ${when}?`,
    text: 'Keys, limits, prices, providers and settings become what they were then. Running requests get 5 seconds to end. The ledger of now is kept beside the backups.',
    keys: 'Keys that were deleted or replaced since then work again.',
    carryOver: 'Keep what was used since then, and keys made since',
    carryOverHint: 'Without it that usage is forgotten, and keys can spend as much once more.',
    submit: 'Restore',
  },
} as const;

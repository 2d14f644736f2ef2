/** The pages: what stands for each in the navigation, and where its code is. */
import {
  IconActivity,
  IconChartBar,
  IconGauge,
  IconKey,
  IconPlugConnected,
  IconReceipt,
  IconServer2,
  IconSettings,
  IconTags,
  type Icon,
} from '@tabler/icons-react';
import { lazy, type ComponentType } from 'react';
import { KeysPage } from './keys/KeysPage.tsx';
import type { PageName } from './router.ts';

interface PageEntry {
  Icon: Icon;
  Page: ComponentType;
}

// Each page is a file of its own, so that the first paint does not wait for charts and logs.
const loaders = {
  activity: async () => ({ default: (await import('./activity/ActivityPage.tsx')).ActivityPage }),
  usage: async () => ({ default: (await import('./usage/UsagePage.tsx')).UsagePage }),
  limits: async () => ({ default: (await import('./limits/LimitsPage.tsx')).LimitsPage }),
  connect: async () => ({ default: (await import('./connect/ConnectPage.tsx')).ConnectPage }),
  providers: async () => ({ default: (await import('./providers/ProvidersPage.tsx')).ProvidersPage }),
  prices: async () => ({ default: (await import('./prices/PricesPage.tsx')).PricesPage }),
  bills: async () => ({ default: (await import('./bills/BillsPage.tsx')).BillsPage }),
  settings: async () => ({ default: (await import('./settings/SettingsPage.tsx')).SettingsPage }),
};

export const pages: Record<PageName, PageEntry> = {
  // The page a start shows is not waited for.
  keys: { Icon: IconKey, Page: KeysPage },
  activity: { Icon: IconActivity, Page: lazy(loaders.activity) },
  usage: { Icon: IconChartBar, Page: lazy(loaders.usage) },
  limits: { Icon: IconGauge, Page: lazy(loaders.limits) },
  connect: { Icon: IconPlugConnected, Page: lazy(loaders.connect) },
  providers: { Icon: IconServer2, Page: lazy(loaders.providers) },
  prices: { Icon: IconTags, Page: lazy(loaders.prices) },
  bills: { Icon: IconReceipt, Page: lazy(loaders.bills) },
  settings: { Icon: IconSettings, Page: lazy(loaders.settings) },
};

/** Fetches the other pages once the first one stands, so that going to one shows it at once. */
export function preloadPages(): () => void {
  const id = requestIdleCallback(() => {
    // One that fails is fetched again when it is opened, and says so there.
    for (const load of Object.values(loaders)) load().catch(() => undefined);
  });
  return () => cancelIdleCallback(id);
}

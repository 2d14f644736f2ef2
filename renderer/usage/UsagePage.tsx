import { strings } from '../strings.ts';
import { Page } from '../ui/page.tsx';

export function UsagePage() {
  return <Page title={strings.pages.usage}>{null}</Page>;
}

import { useApp } from '../store.ts';
import { Page } from '../ui/page.tsx';

export function KeyPage({ id }: { id: string }) {
  const name = useApp((state) => state.keys[id]?.name ?? id);
  return <Page title={name}>{null}</Page>;
}

/** Models that have another name at the fallback, as a person types them: one a line, `asked = there`. Pure. */
import type { KeyFallback } from '#shared/model.ts';

type Models = KeyFallback['models'];

export function modelsText(models: Models): string {
  return models.map(({ from, to }) => `${from} = ${to}`).join('\n');
}

/** null where a line is not two names. Empty lines are nothing. */
export function modelsFrom(text: string): Models | null {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const models = lines.map((line) => line.split('=').map((name) => name.trim()));
  if (models.some((names) => names.length !== 2 || names.includes(''))) return null;
  return models.map(([from = '', to = '']) => ({ from, to }));
}

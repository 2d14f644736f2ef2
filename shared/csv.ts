/** Comma-separated values as RFC 4180 has them. */
export type CsvValue = string | number | boolean;

export const csvLine = (values: readonly CsvValue[]) => `${values.map(csvCell).join(',')}\r\n`;

/** A text that a spreadsheet would run as a formula is kept a text. */
export function csvCell(value: CsvValue): string {
  if (typeof value !== 'string') return String(value);
  const text = /^[=+\-@\t\r]/.test(value) && !/^-?\d+(\.\d+)?$/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

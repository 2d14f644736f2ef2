import { memo } from 'react';

const WIDTH = 88;
const HEIGHT = 22;

/** A month as a row of thin bars, the last one today; what it says in words is its label. */
export const Sparkline = memo(function Sparkline({ values, label }: { values: string; label: string }) {
  const numbers = values.split(',').map(Number);
  const most = Math.max(...numbers);
  const step = WIDTH / numbers.length;
  const bars = numbers.flatMap((value, at) => {
    if (value <= 0) return [];
    // A day that cost anything is seen to have cost something.
    const height = Math.max(1.5, (value / most) * (HEIGHT - 2));
    return [`M${((at + 0.5) * step).toFixed(1)} ${HEIGHT - 1}v-${height.toFixed(1)}`];
  });
  return (
    <svg className="spark" width={WIDTH} height={HEIGHT} role="img" aria-label={label}>
      <title>{label}</title>
      <line x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
      <path d={bars.join('')} />
    </svg>
  );
});

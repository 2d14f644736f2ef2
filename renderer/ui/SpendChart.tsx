/** Stacked bars of money over time. What they show also stands in a table beside them; the chart itself is a picture. */
import '@mantine/charts/styles.css';
import { BarChart } from '@mantine/charts';
import { formatUsd, NANO_PER_USD, type Nano } from '#shared/money.ts';

/** Told apart by lightness as well as by hue; the rest is grey. Values per scheme stand in charts.css. */
const COLOURS = 6;
const colourOf = (index: number, isRest: boolean) =>
  `var(--chart-${isRest ? 'rest' : (index % COLOURS) + 1})`;

/** Pixels of the axis at the left: at least, for each digit, and beside the text. */
const AXIS = 56;
const DIGIT = 7.8;
const AXIS_GAP = 14;

export interface ChartBar {
  label: string;
  /** One for each of the series. */
  costs: readonly Nano[];
}

export function SpendChart({
  bars,
  series,
  restIsLast = false,
  title,
  height = 240,
  onBar,
}: {
  bars: readonly ChartBar[];
  series: readonly string[];
  restIsLast?: boolean;
  title: string;
  height?: number;
  onBar?: (index: number) => void;
}) {
  const data = bars.map(({ label, costs }) => ({
    label,
    ...Object.fromEntries(costs.map((cost, at) => [`s${at}`, cost / NANO_PER_USD])),
  }));
  const ticks = axisTicks(
    Math.max(...bars.map(({ costs }) => costs.reduce((sum, cost) => sum + cost, 0))) / NANO_PER_USD,
  );
  const tickText = axisText(ticks);
  // A day's spend of one script is '$0.00025' long.
  const longest = Math.max(...ticks.map((tick) => tickText(tick).length));
  return (
    <div className="chart" role="img" aria-label={title}>
      <BarChart
        h={height}
        data={data}
        dataKey="label"
        type="stacked"
        series={series.map((label, at) => ({
          name: `s${at}`,
          label,
          color: colourOf(at, restIsLast && at === series.length - 1),
        }))}
        gridAxis="x"
        tickLine="none"
        withLegend={series.length > 1}
        legendProps={{ verticalAlign: 'bottom', align: 'left' }}
        valueFormatter={(value) => formatUsd(Math.round(value * NANO_PER_USD))}
        yAxisProps={{
          width: Math.max(AXIS, longest * DIGIT + AXIS_GAP),
          tickFormatter: tickText,
          domain: [0, ticks.at(-1) ?? 1],
          ticks,
        }}
        xAxisProps={{ interval: 'equidistantPreserveStart', minTickGap: 20, tickMargin: 8 }}
        barProps={{ isAnimationActive: false, maxBarSize: 44 }}
        tooltipAnimationDuration={0}
        tooltipProps={{ isAnimationActive: false }}
        barChartProps={{
          accessibilityLayer: false,
          // Without it the text of the topmost line is moved down to stay inside.
          margin: { top: 10, right: 6 },
          barCategoryGap: '22%',
          ...(onBar
            ? {
                onClick: ({ activeIndex }) => activeIndex != null && onBar(Number(activeIndex)),
                style: { cursor: 'pointer' },
              }
            : {}),
        }}
      />
    </div>
  );
}

/** Four or five round amounts from zero to at least `most` dollars. */
function axisTicks(most: number): number[] {
  if (!(most > 0)) return [0, 1];
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((each) => each * power >= rough) ?? 10) * power;
  // Multiplied, not added up: a sum of tenths is not a tenth of the sum.
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, at) => at * step);
}

/** All amounts of an axis with as many decimals as its step needs. */
function axisText(ticks: readonly number[]): (dollars: number) => string {
  const step = ticks[1] ?? 1;
  const decimals = Math.max(0, ...ticks.map((tick) => decimalsOf(tick)));
  const axis = new Intl.NumberFormat(
    'en-US',
    step >= 1_000
      ? { notation: 'compact', maximumSignificantDigits: 3 }
      : { minimumFractionDigits: decimals === 1 ? 2 : decimals },
  );
  return (dollars) => (dollars === 0 ? '$0' : `$${axis.format(dollars)}`);
}

const MOST_DECIMALS = 9;
/** `toFixed` first: three times a tenth is not quite three tenths. */
const decimalsOf = (amount: number) =>
  amount.toFixed(MOST_DECIMALS).replace(/0+$/, '').split('.')[1]?.length ?? 0;

/**
 * How much a model can read and write at the most, by family: what a request may cost where it sets no bound of its
 * own. Never below the truth: a family has the largest number that any of its models is listed with. A model that is
 * not here has no known window, and an output beyond any that is common.
 *
 * Sources, November 2026: developers.openai.com/api/docs/models, platform.claude.com/docs/en/about-claude/models,
 * ai.google.dev/gemini-api/docs/models, docs.x.ai/docs/models, api-docs.deepseek.com, compared with models.dev.
 */
export interface ModelLimits {
  /** Tokens of input and output together; Infinity where no window is known. */
  contextTokens: number;
  /** Tokens of one answer, thinking included. */
  outputTokens: number;
  /** Whether they are the model's own: whatever a request allows, it does not write more. */
  known: boolean;
}

/** Tried from the top; the name is lower case, without the vendor before its last slash. */
const families: readonly (readonly [pattern: RegExp, contextTokens: number, outputTokens: number])[] = [
  // Its images are billed with more tokens than the window has (guides/images-vision), so that caps nothing.
  [/^gpt-4o-mini/, Infinity, 16_384],
  [/^(gpt-4o|gpt-4\.5|gpt-audio|chatgpt-4o)/, 128_000, 16_384],
  [/^gpt-4\.1/, 1_047_576, 32_768],
  [/^gpt-4-(turbo|\d{4}-preview|vision|1106|0125)/, 128_000, 4_096],
  [/^gpt-4-32k/, 32_768, 32_768],
  [/^gpt-4(-\d{4})?$/, 8_192, 8_192],
  [/^gpt-(3\.5|35)/, 16_385, 4_096],
  [/^gpt-5(\.\d+)?-pro/, 1_050_000, 272_000],
  [/^gpt-5(\.[12])?(-|$)/, 400_000, 128_000],
  [/^gpt-5\.\d+-(mini|nano|cyber)/, 400_000, 128_000],
  [/^gpt-oss/, 131_072, 131_072],
  [/^(gpt-[56]|chat-latest)/, 1_050_000, 128_000],
  [/^o1-(mini|preview)/, 128_000, 65_536],
  [/^(o[134](-|$)|codex-mini)/, 200_000, 100_000],
  [/^claude-(v?2|instant)/, 200_000, 8_192],
  [/^claude-3[-.]7|^claude-sonnet-3[-.]7/, 200_000, 128_000],
  [/^claude-3[-.]5|^claude-(haiku|sonnet)-3[-.]5/, 200_000, 8_192],
  [/^claude-3-/, 200_000, 4_096],
  [/^claude-(opus-4|4-opus)([-.][01]|-2025\d*)?(-\d{8})?$/, 200_000, 32_000],
  [/^claude-((opus|haiku)-4[-.]5|4[-.]5-(opus|haiku))/, 200_000, 64_000],
  // A million by a beta header.
  [/^claude-(sonnet-4|4-sonnet)([-.][05])?(-\d{8})?$|^claude-4[-.]5-sonnet/, 1_000_000, 64_000],
  [/^claude-/, 1_000_000, 128_000],
  [/^gemini-1\.5/, 2_097_152, 8_192],
  [/^gemini-2\.0/, 1_048_576, 8_192],
  [/^gemini-4/, 1_048_576, 131_072],
  [/^gemini-/, 1_048_576, 65_536],
  [/^grok-[23]/, 131_072, 131_072],
  [/^grok-4\.[5-9]/, 500_000, 500_000],
  [/^grok-4\.3/, 1_000_000, 1_000_000],
  [/^grok-/, 2_000_000, 2_000_000],
  [/^deepseek/, 1_048_576, 393_216],
];

const unknown: ModelLimits = { contextTokens: Infinity, outputTokens: 262_144, known: false };

const found = new Map<string, ModelLimits>();

/** By the name a provider is asked for, with or without its vendor (`openai/gpt-5`). */
export function modelLimits(model: string): ModelLimits {
  let limits = found.get(model);
  if (limits === undefined) {
    const name = model.slice(model.lastIndexOf('/') + 1).toLowerCase();
    const family = families.find(([pattern]) => pattern.test(name));
    limits = family ? { contextTokens: family[1], outputTokens: family[2], known: true } : unknown;
    // Names come from clients: whoever makes up thousands of them does not fill the memory.
    if (found.size >= 1000) found.clear();
    found.set(model, limits);
  }
  return limits;
}

/** The window, or where none is known the largest that models of the provider have. */
export function contextTokens(model: string | null, otherwise: number): number {
  const { contextTokens: known } = modelLimits(model ?? '');
  return Number.isFinite(known) ? known : otherwise;
}

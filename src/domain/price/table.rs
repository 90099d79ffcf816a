//! What the vendors charge, as of one day: USD per million tokens, standard rates. Data; the rules are next door.
//!
//! Taken from the vendors' own price pages (openai.com/api/pricing, platform.claude.com/docs/en/about-claude/pricing,
//! ai.google.dev/gemini-api/docs/pricing, mistral.ai/pricing, api-docs.deepseek.com/quick_start/pricing,
//! groq.com/pricing, docs.x.ai/docs/models) and compared with the collection of `genai-prices` 0.2.3. Where a price
//! depends on the hour the higher one stands here, where it depends on the prompt's length the one of short prompts;
//! batch, priority and regional rates are not known.

use super::super::quick::Seed;
use super::{Price, Vendor};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The day the table was last compared with its sources.
pub const PRICES_AS_OF: &str = "2026-11-25";

/// A model's name without its date, and what it costs.
pub(super) type Row = (&'static str, Price);

/// Every vendor with its rows, sorted by name.
pub(super) const ROWS: [(Vendor, &[Row]); 7] = [
    (Vendor::OpenAi, OPENAI),
    (Vendor::Anthropic, ANTHROPIC),
    (Vendor::Gemini, GEMINI),
    (Vendor::Mistral, MISTRAL),
    (Vendor::DeepSeek, DEEPSEEK),
    (Vendor::Groq, GROQ),
    (Vendor::Xai, XAI),
];

/// What the table says of this very name. Every request asks, so the first one makes a map of it.
pub(super) fn of(vendor: Vendor, name: &str) -> Option<Price> {
    type Known = HashMap<(Vendor, &'static str), Price, Seed>;
    static KNOWN: LazyLock<Known> = LazyLock::new(|| {
        let named = |(vendor, rows): &(Vendor, &'static [Row])| {
            let vendor = *vendor;
            rows.iter().map(move |(name, price)| ((vendor, *name), *price))
        };
        ROWS.iter().flat_map(named).collect()
    });
    KNOWN.get(&(vendor, name)).copied()
}

/// Input, cached input, output; writing to the cache costs what input costs.
const fn usd(model: &'static str, input: f64, cached: f64, output: f64) -> Row {
    (model, Price::usd_per_million(input, cached, input, output))
}

/// The same, and a quarter more for input that is written to the cache (Anthropic's five minutes; OpenAI since 5.6).
const fn write(model: &'static str, input: f64, cached: f64, output: f64) -> Row {
    (model, Price::usd_per_million(input, cached, input * 1.25, output))
}

const OPENAI: &[Row] = &[
    usd("chatgpt-4o", 5.0, 5.0, 15.0),
    usd("codex-mini", 1.5, 0.375, 6.0),
    usd("gpt-3.5-turbo", 0.5, 0.5, 1.5),
    usd("gpt-3.5-turbo-0301", 1.5, 1.5, 2.0),
    usd("gpt-3.5-turbo-0613", 1.5, 1.5, 2.0),
    usd("gpt-3.5-turbo-1106", 1.0, 1.0, 2.0),
    usd("gpt-3.5-turbo-16k", 3.0, 3.0, 4.0),
    usd("gpt-3.5-turbo-instruct", 1.5, 1.5, 2.0),
    usd("gpt-4", 30.0, 30.0, 60.0),
    usd("gpt-4-0125-preview", 10.0, 10.0, 30.0),
    usd("gpt-4-1106-preview", 10.0, 10.0, 30.0),
    usd("gpt-4-32k", 60.0, 60.0, 120.0),
    usd("gpt-4-turbo", 10.0, 10.0, 30.0),
    usd("gpt-4.1", 2.0, 0.5, 8.0),
    usd("gpt-4.1-mini", 0.4, 0.1, 1.6),
    usd("gpt-4.1-nano", 0.1, 0.025, 0.4),
    usd("gpt-4.5", 75.0, 37.5, 150.0),
    usd("gpt-4o", 2.5, 1.25, 10.0),
    usd("gpt-4o-2024-05-13", 5.0, 5.0, 15.0),
    usd("gpt-4o-audio", 2.5, 2.5, 10.0),
    usd("gpt-4o-mini", 0.15, 0.075, 0.6),
    usd("gpt-4o-mini-audio", 0.15, 0.15, 0.6),
    usd("gpt-4o-mini-search", 0.15, 0.15, 0.6),
    usd("gpt-4o-search", 2.5, 2.5, 10.0),
    usd("gpt-5", 1.25, 0.125, 10.0),
    usd("gpt-5-chat", 1.25, 0.125, 10.0),
    usd("gpt-5-codex", 1.25, 0.125, 10.0),
    usd("gpt-5-mini", 0.25, 0.025, 2.0),
    usd("gpt-5-nano", 0.05, 0.005, 0.4),
    usd("gpt-5-pro", 15.0, 15.0, 120.0),
    usd("gpt-5.1", 1.25, 0.125, 10.0),
    usd("gpt-5.1-chat", 1.25, 0.125, 10.0),
    usd("gpt-5.1-codex", 1.25, 0.125, 10.0),
    usd("gpt-5.1-codex-max", 1.25, 0.125, 10.0),
    usd("gpt-5.1-codex-mini", 0.25, 0.025, 2.0),
    usd("gpt-5.2", 1.75, 0.175, 14.0),
    usd("gpt-5.2-chat", 1.75, 0.175, 14.0),
    usd("gpt-5.2-codex", 1.75, 0.175, 14.0),
    usd("gpt-5.2-pro", 21.0, 21.0, 168.0),
    usd("gpt-5.3", 1.75, 0.175, 14.0),
    usd("gpt-5.3-codex", 1.75, 0.175, 14.0),
    usd("gpt-5.4", 2.5, 0.25, 15.0),
    usd("gpt-5.4-mini", 0.75, 0.075, 4.5),
    usd("gpt-5.4-nano", 0.2, 0.02, 1.25),
    usd("gpt-5.4-pro", 30.0, 30.0, 180.0),
    usd("gpt-5.5", 5.0, 0.5, 30.0),
    usd("gpt-5.5-pro", 30.0, 30.0, 180.0),
    write("gpt-5.6", 4.0, 0.4, 20.0),
    write("gpt-5.6-luna", 0.2, 0.02, 1.2),
    write("gpt-5.6-sol", 4.0, 0.4, 20.0),
    write("gpt-5.6-terra", 2.0, 0.2, 12.0),
    write("gpt-6-astra", 10.0, 1.0, 50.0),
    write("gpt-6-luna", 0.1, 0.01, 0.5),
    write("gpt-6-sol", 2.0, 0.2, 10.0),
    write("gpt-6.1-sol", 2.0, 0.1, 10.0),
    write("gpt-6.1-terra", 1.0, 0.05, 5.0),
    usd("gpt-audio", 2.5, 2.5, 10.0),
    usd("gpt-audio-mini", 0.6, 0.6, 2.4),
    usd("o1", 15.0, 7.5, 60.0),
    usd("o1-mini", 1.1, 0.55, 4.4),
    usd("o1-preview", 15.0, 7.5, 60.0),
    usd("o1-pro", 150.0, 150.0, 600.0),
    usd("o3", 2.0, 0.5, 8.0),
    usd("o3-deep-research", 10.0, 2.5, 40.0),
    usd("o3-mini", 1.1, 0.55, 4.4),
    usd("o3-pro", 20.0, 20.0, 80.0),
    usd("o4-mini", 1.1, 0.275, 4.4),
    usd("o4-mini-deep-research", 2.0, 0.5, 8.0),
    usd("text-embedding-3-large", 0.13, 0.13, 0.0),
    usd("text-embedding-3-small", 0.02, 0.02, 0.0),
    usd("text-embedding-ada-002", 0.1, 0.1, 0.0),
];

const ANTHROPIC: &[Row] = &[
    write("claude-3-5-haiku", 0.8, 0.08, 4.0),
    write("claude-3-5-sonnet", 3.0, 0.3, 15.0),
    write("claude-3-7-sonnet", 3.0, 0.3, 15.0),
    ("claude-3-haiku", Price::usd_per_million(0.25, 0.03, 0.3, 1.25)),
    write("claude-3-opus", 15.0, 1.5, 75.0),
    write("claude-3-sonnet", 3.0, 0.3, 15.0),
    write("claude-fable-5", 10.0, 1.0, 50.0),
    write("claude-fable-5-1", 10.0, 0.25, 50.0),
    write("claude-fable-5-2", 8.0, 0.2, 40.0),
    write("claude-haiku-4-5", 1.0, 0.1, 5.0),
    write("claude-haiku-5-5", 0.1, 0.01, 0.5),
    write("claude-mythos-5-2", 8.0, 0.2, 40.0),
    write("claude-opus-4", 15.0, 1.5, 75.0),
    write("claude-opus-4-0", 15.0, 1.5, 75.0),
    write("claude-opus-4-1", 15.0, 1.5, 75.0),
    write("claude-opus-4-5", 5.0, 0.5, 25.0),
    write("claude-opus-4-6", 5.0, 0.5, 25.0),
    write("claude-opus-4-7", 5.0, 0.5, 25.0),
    write("claude-opus-4-8", 5.0, 0.5, 25.0),
    write("claude-opus-5", 5.0, 0.5, 25.0),
    write("claude-opus-5-5", 4.0, 0.2, 20.0),
    write("claude-sonnet-4", 3.0, 0.3, 15.0),
    write("claude-sonnet-4-0", 3.0, 0.3, 15.0),
    write("claude-sonnet-4-5", 3.0, 0.3, 15.0),
    write("claude-sonnet-4-6", 3.0, 0.3, 15.0),
    write("claude-sonnet-5", 2.0, 0.2, 10.0),
    write("claude-sonnet-5-5", 2.0, 0.1, 10.0),
];

const GEMINI: &[Row] = &[
    usd("gemini-2.0-flash", 0.1, 0.025, 0.4),
    usd("gemini-2.0-flash-lite", 0.075, 0.075, 0.3),
    usd("gemini-2.5-flash", 0.3, 0.03, 2.5),
    usd("gemini-2.5-flash-lite", 0.1, 0.01, 0.4),
    usd("gemini-2.5-pro", 1.25, 0.125, 10.0),
    usd("gemini-3-flash", 0.5, 0.05, 3.0),
    usd("gemini-3-pro", 2.0, 0.2, 12.0),
    usd("gemini-3.1-flash-lite", 0.25, 0.025, 1.5),
    usd("gemini-3.1-pro", 2.0, 0.2, 12.0),
    usd("gemini-3.5-flash", 1.5, 0.15, 9.0),
    usd("gemini-3.5-flash-lite", 0.3, 0.03, 2.5),
    usd("gemini-3.6-flash", 1.5, 0.15, 7.5),
    usd("gemini-3.7-flash", 1.5, 0.15, 7.5),
    usd("gemini-3.8-flash", 1.5, 0.15, 7.5),
    usd("gemini-4-argon", 4.0, 0.2, 20.0),
    usd("gemini-embedding-001", 0.15, 0.15, 0.0),
    usd("gemini-embedding-2", 0.2, 0.2, 0.0),
    usd("gemini-flash", 1.5, 0.15, 7.5),
];

const MISTRAL: &[Row] = &[
    usd("codestral", 0.3, 0.03, 0.9),
    usd("codestral-embed", 0.15, 0.015, 0.0),
    usd("devstral-2512", 0.4, 0.04, 2.0),
    usd("devstral-small", 0.1, 0.1, 0.3),
    usd("magistral-medium", 2.0, 2.0, 5.0),
    usd("magistral-small", 0.5, 0.5, 1.5),
    usd("ministral-14b", 0.2, 0.02, 0.2),
    usd("ministral-3b", 0.1, 0.01, 0.1),
    usd("ministral-8b", 0.15, 0.015, 0.15),
    usd("mistral-embed", 0.1, 0.1, 0.0),
    usd("mistral-large", 2.0, 2.0, 6.0),
    usd("mistral-large-2512", 0.5, 0.05, 1.5),
    usd("mistral-large-4", 0.7, 0.07, 2.1),
    usd("mistral-medium", 1.5, 0.15, 7.5),
    usd("mistral-medium-2505", 0.4, 0.04, 2.0),
    usd("mistral-medium-2508", 0.4, 0.04, 2.0),
    usd("mistral-nemo", 0.15, 0.15, 0.15),
    usd("mistral-small", 0.15, 0.015, 0.6),
    usd("open-mistral-nemo", 0.15, 0.15, 0.15),
    usd("pixtral-12b", 0.15, 0.15, 0.15),
    usd("pixtral-large", 2.0, 2.0, 6.0),
];

const DEEPSEEK: &[Row] = &[
    usd("deepseek-chat", 0.27, 0.07, 1.1),
    usd("deepseek-flash", 0.3, 0.006, 1.2),
    usd("deepseek-reasoner", 0.55, 0.14, 2.19),
    usd("deepseek-v4-flash", 0.3, 0.006, 1.2),
    usd("deepseek-v4-pro", 1.32, 0.044, 3.96),
];

const GROQ: &[Row] = &[
    usd("gemma2-9b-it", 0.2, 0.2, 0.2),
    usd("llama-3.1-8b-instant", 0.05, 0.05, 0.08),
    usd("llama-3.3-70b-versatile", 0.59, 0.59, 0.79),
    usd("meta-llama/llama-4-maverick-17b-128e-instruct", 0.2, 0.2, 0.6),
    usd("meta-llama/llama-4-scout-17b-16e-instruct", 0.11, 0.11, 0.34),
    usd("meta-llama/llama-guard-4-12b", 0.2, 0.2, 0.2),
    usd("moonshotai/kimi-k2-instruct", 1.0, 0.5, 3.0),
    usd("openai/gpt-oss-120b", 0.15, 0.075, 0.6),
    usd("openai/gpt-oss-20b", 0.075, 0.038, 0.3),
    usd("qwen/qwen3-32b", 0.29, 0.29, 0.59),
    usd("qwen/qwen3.8-27b", 0.8, 0.8, 4.0),
];

const XAI: &[Row] = &[
    usd("grok-3", 3.0, 0.75, 15.0),
    usd("grok-3-fast", 5.0, 1.25, 25.0),
    usd("grok-3-mini", 0.3, 0.075, 0.5),
    usd("grok-3-mini-fast", 0.6, 0.15, 4.0),
    usd("grok-4", 3.0, 0.75, 15.0),
    usd("grok-4-1-fast-non-reasoning", 0.2, 0.05, 0.5),
    usd("grok-4-1-fast-reasoning", 0.2, 0.05, 0.5),
    usd("grok-4-fast-non-reasoning", 0.2, 0.05, 0.5),
    usd("grok-4-fast-reasoning", 0.2, 0.05, 0.5),
    usd("grok-4.20", 1.25, 0.2, 2.5),
    usd("grok-4.3", 1.25, 0.2, 2.5),
    usd("grok-4.5", 2.0, 0.3, 6.0),
    usd("grok-4.6", 2.0, 0.5, 6.0),
    usd("grok-4.7", 2.0, 0.5, 6.0),
    usd("grok-code-fast-1", 0.2, 0.02, 1.5),
];

//! What a provider is: its keys, address, type, time, weight and prices.

use super::*;

#[test]
fn a_provider_has_its_keys_from_the_file_else_by_its_name() {
    let env = [("OPENAI_API_KEY", "ambient"), ("SITE_API_KEY", "site-key")];
    let text = "providers:\n  openai: {api_key: written, api_keys: [second]}\n  site: {type: vllm, model: m}\n  gpt: {type: openai}";
    let settings = good_in(text, &env);
    assert_eq!(secrets(&settings, "openai"), ["written", "second"]);
    assert_eq!(secrets(&settings, "site"), ["site-key"]);
    assert!(secrets(&settings, "gpt").is_empty(), "another provider's key goes nowhere else");
}

#[test]
fn base_urls_are_made_alike() {
    for (written, expected) in [
        ("https://api.openai.com/v1", "https://api.openai.com"),
        ("https://api.openai.com/v1/", "https://api.openai.com"),
        ("HTTPS://API.openai.com", "https://api.openai.com"),
        ("http://h:8000/llm/v1//", "http://h:8000/llm"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        ("https://api.groq.com/openai/v1", "https://api.groq.com/openai"),
        ("http://h/v1x", "http://h/v1x"),
    ] {
        let text = format!("providers: {{s: {{type: vllm, model: m, base_url: '{written}'}}}}");
        assert_eq!(good(&text).providers[0].base_url, expected);
    }
    for wrong in [
        "api.openai.com",
        "ftp://h",
        "http://",
        "http://u:p@h",
        "http://h:0",
        "http://h:x",
        "http://h?a=b",
        "http://a b",
        "http://::1",
        "http:///v1",
    ] {
        let text = format!("providers: {{s: {{type: vllm, model: m, base_url: '{wrong}'}}}}");
        assert_eq!(bad(&text).len(), 1, "{wrong}");
    }
}

#[test]
fn presets_are_types_of_their_own() {
    for preset in
        presets::PRESETS.iter().filter(|p| p.kind == Kind::OpenAiCompatible && !p.base_url.is_empty())
    {
        let settings =
            good(&format!("server: {{listen: '127.0.0.1:1'}}\nproviders: {{{}: {{model: m}}}}", preset.word));
        assert_eq!(settings.providers[0].base_url, preset.base_url);
        assert_eq!(settings.providers[0].kind, Kind::OpenAiCompatible);
    }
    assert!(bad("providers: {groq: {}}")[0].contains("providers.groq.model: is needed for type groq"));
    assert!(bad("providers: {x: {type: openai_compatible, model: m}}")[0].contains("base_url: is needed"));
    assert!(bad("providers: {azure: {model: m}}")[0].contains("base_url: is needed"));
    assert_eq!(good("providers: {gemini: {}}").providers[0].kind, Kind::Gemini);
}

#[test]
fn what_a_type_accepts_is_known_and_can_be_overridden() {
    let settings = good(
        "providers: {mistral: {model: m}, x: {type: mistral, model: m, capabilities: {refuses: [n], short_call_ids: false, thinking: none}}}",
    );
    let known = &settings.providers[0].quirks;
    assert!(known.refuses.iter().any(|name| name == "stream_options"));
    assert_eq!((known.short_call_ids, known.output_bound), (Some(true), Some(OutputBound::Tokens)));
    let told = &settings.providers[1].quirks;
    assert_eq!((told.refuses.as_slice(), told.short_call_ids), (&["n".to_owned()][..], Some(false)));
    assert_eq!((told.thinking, told.output_bound), (Some(Thinking::Unable), Some(OutputBound::Tokens)));
    let again = good(&effective(&settings));
    assert_eq!(again.providers[1].quirks, settings.providers[1].quirks);
    assert_eq!(again.providers[0].quirks, settings.providers[0].quirks);
}

#[test]
fn azure_has_a_version_and_deployments() {
    let azure = "providers: {az: {type: azure, base_url: 'https://x.openai.azure.com/', model: gpt-4o, api_version: 2024-10-21, deployments: {gpt-4o: four-o}}}";
    let settings = good(azure);
    let provider = &settings.providers[0];
    assert_eq!(provider.api_version.as_deref(), Some("2024-10-21"));
    assert_eq!(provider.deployments, [("gpt-4o".to_owned(), "four-o".to_owned())]);
    assert_eq!(good(&effective(&settings)).providers[0].deployments, provider.deployments);
}

#[test]
fn azures_customary_variable_is_read_for_the_provider_called_azure() {
    let env = [("AZURE_OPENAI_API_KEY", "k")];
    let text = "providers: {azure: {base_url: 'https://a', model: m}, az: {type: azure, base_url: 'https://b', model: m}}";
    let settings = good_in(text, &env);
    assert_eq!((secrets(&settings, "azure"), secrets(&settings, "az").len()), (vec!["k".to_owned()], 0));
}

#[test]
fn own_prices_go_before_the_table_and_what_has_none_is_named_beside_a_budget() {
    let settings =
        good("prices: {'gpt-4o*': {input: 1, output: 2.5}, house: {input: 0, cached: 0, output: 0.001}}");
    let prices = settings.prices();
    let price = prices.of("openai", "gpt-4o-mini").expect("known");
    assert_eq!([price.input, price.cached, price.cache_write, price.output], [1_000, 1_000, 1_000, 2_500]);
    assert_eq!(prices.of("anywhere", "house").map(|price| price.output), Some(1));
    assert_eq!(prices.of("openai", "gpt-4.1").map(|price| price.input), Some(2_000));
    for (wrong, field) in [
        ("{x: {input: 1}}", "prices.x.output: is needed"),
        ("{x: {input: 1, output: 0.0001}}", "prices.x.output: must have at most three decimals"),
        ("{x: {input: 2e6, output: 1}}", "prices.x.input: must be at most"),
        ("{x: {input: -1, output: 1}}", "prices.x.input: must be a number"),
        ("{x: 3}", "prices.x: must be a mapping"),
    ] {
        let lines = bad(&format!("prices: {wrong}"));
        assert!(lines.len() == 1 && lines[0].contains(field), "{wrong}: {lines:?}");
    }
    let budget = format!("auth: {{keys: [{{name: a, hash: '{KEY_HASH}', budget: {{usd: 1}}}}]}}\n");
    let provider = "providers: {own: {type: openai_compatible, base_url: 'http://gpu:8000', model: house, models: [house, 'x-*']}}\n";
    let named = |text: &str| {
        let warnings = good(text).warnings;
        warnings.iter().filter(|warning| warning.contains("costs is not known")).count()
    };
    assert_eq!(named(&format!("{budget}{provider}")), 1);
    assert_eq!(named(&format!("{budget}{provider}prices: {{house: {{input: 0, output: 0}}}}")), 0);
    assert_eq!(named(provider), 0, "without a budget nobody needs to know");
    let vendors = "providers: {fast: {type: openai_compatible, base_url: 'https://api.groq.com/openai/v1', api_key: k, model: llama-3.3-70b-versatile}}";
    assert_eq!(good(vendors).prices().of("fast", "llama-3.3-70b-versatile").map(|p| p.input), Some(590));
}

#[test]
fn a_whole_answer_may_take_its_time_unless_the_file_says_otherwise() {
    let answer = |timeouts: &str| {
        let text = format!("providers: {{ollama: {{timeouts: {{{timeouts}}}}}}}");
        good(&text).providers[0].answer_timeout.as_secs()
    };
    assert_eq!(answer(""), 600, "the total's default");
    assert_eq!(answer("total: 90s"), 90);
    assert_eq!(answer("first_token: 5s"), 5);
    assert_eq!(answer("first_token: 5s, answer: 40s"), 40);
}

#[test]
fn weights_are_written_beside_the_provider_or_in_one_place() {
    let text = "providers: {ollama: {weight: 3}, openai: {api_key: k}, groq: {api_key: k, model: m}}\n\
                routing: {strategy: weighted, weights: {openai: 0, ollama: 9}}";
    let settings = good(text);
    let weights: Vec<u32> = settings.providers.iter().map(|provider| provider.weight).collect();
    assert_eq!((settings.strategy, weights), (Strategy::Weighted, vec![3, 0, 1]));
}

//! What we ship and what our pages say loads, and says what the code does.

use super::*;

#[test]
fn the_example_loads_without_any_variable_and_without_a_surprise() {
    let settings = good(&repository("config.yaml"));
    assert_eq!(settings.preference, ["ollama", "anthropic", "openai"]);
    assert_eq!(settings.warnings.len(), 2, "only the two missing keys: {:?}", settings.warnings);
    let settings =
        good_in(&repository("config.yaml"), &[("OPENAI_API_KEY", "a"), ("ANTHROPIC_API_KEY", "b")]);
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
}

#[test]
fn the_example_says_what_would_happen_anyway() {
    let (example, defaults) = (good(&repository("config.yaml")), good("providers: {ollama: {}}"));
    let general = |settings: &Settings| {
        let Settings { server, breaker, health, retry_wait_max, deduplicate, logging, .. } = settings;
        format!("{server:?} {breaker:?} {health:?} {retry_wait_max:?} {deduplicate} {logging:?}")
    };
    assert_eq!(general(&example), general(&defaults));
}

/// A key as a line of the page's tables.
fn line(row: &keys::Row) -> String {
    let default = if row.default.is_empty() { "–".to_owned() } else { format!("`{}`", row.default) };
    let no = if row.effect == Effect::Gone { "no effect: " } else { "" };
    let meaning = row.meaning.replace('|', "\\|");
    format!("| `{}` | {} | {default} | {no}{meaning} |\n", row.path, row.kind.words())
}

/// The page's tables of keys; `HAPAX_REWRITE=1 cargo test --lib config` writes them anew.
#[test]
fn the_page_has_the_keys_as_the_tables_say() {
    const HEAD: &str = "| key | type | default | meaning |\n|---|---|---|---|\n";
    let was = repository("docs/configuration.md");
    let mut parts = was.split(HEAD);
    let mut page = parts.next().expect("the page begins").to_owned();
    for table in keys::TABLES {
        let rest = parts.next().expect("a table of keys on the page");
        // A table ends with an empty line.
        let after = rest.split_once("\n\n").map_or(String::new(), |(_, after)| format!("\n{after}"));
        let lines: String = table.iter().map(line).collect();
        page.push_str(&format!("{HEAD}{lines}{after}"));
    }
    assert_eq!(parts.next(), None, "a table of keys that nobody writes");
    if std::env::var_os("HAPAX_REWRITE").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        std::fs::write(file, page).expect("it can be written");
    } else {
        assert!(page == was, "the tables of docs/configuration.md are others");
    }
}

#[test]
fn the_worked_examples_of_the_documentation_load() {
    let page = repository("docs/configuration.md");
    let examples: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 2);
    for example in examples {
        let variables = [("OPENAI_API_KEY", "a"), ("ANTHROPIC_API_KEY", "b"), ("GROQ_API_KEY", "c")];
        let settings = good_in(example, &variables);
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    }
}

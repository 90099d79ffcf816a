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

/// The rows of the documentation's tables: key, type, default.
fn documented() -> Vec<(String, String, String)> {
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').collect();
        // Four columns and the end of the line: a table of keys.
        (cells.len() == 5).then(|| (cell(cells[0]), cell(cells[1]), cell(cells[2])))
    };
    repository("docs/configuration.md").lines().filter_map(row).collect()
}

#[test]
fn every_key_is_documented_with_its_type_and_default() {
    let documented = documented();
    for row in ROWS {
        let Some((_, kind, default)) = documented.iter().find(|(key, ..)| key == row.path) else {
            panic!("docs/configuration.md lacks {}", row.path)
        };
        assert_eq!(kind, row.kind.word(), "type of {}", row.path);
        let expected = if row.default.is_empty() { "–" } else { row.default };
        assert_eq!(default, expected, "default of {}", row.path);
    }
}

#[test]
fn every_documented_key_loads() {
    for (key, ..) in documented() {
        assert!(keys::row(&key).is_some(), "docs/configuration.md names {key}, which does not load");
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

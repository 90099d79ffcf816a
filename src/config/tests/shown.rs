//! The effective configuration and the hosts, as they are shown.

use super::*;

#[test]
fn the_effective_configuration_shows_no_secret() {
    let text = format!(
        "providers:\n  openai: {{api_keys: [sk-one, sk-two], headers: {{X-Site: hush hush}}, proxy: 'http://me:pass@proxy:3128'}}\n\
         auth: {{keys: [{{name: a, hash: '{KEY_HASH}'}}]}}\n"
    );
    let settings = good(&text);
    let shown = effective(&settings);
    for secret in ["sk-one", "sk-two", "hush", "pass", &KEY_HASH[7..]] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("api_keys: [\"***\", \"***\"]"), "{shown}");
    assert!(shown.contains("http://***@proxy:3128"), "{shown}");
}

#[test]
fn the_effective_configuration_loads_and_means_the_same() {
    let texts = [
        repository("config.yaml"),
        String::new(),
        "system_prompt: \"a \\\"b\\\" $$x ${Y:-z} $${Y} $$$$ \\\\ \\n\\t\\u0007 é: # -\"\nproviders:\n  'no': {type: ollama, keep_alive: -1, num_ctx: 8}\n  \
         x: {type: vllm, base_url: 'http://h:1/v1', model: 'a:b', timeouts: {idle: 1500ms}, headers: {A: b}}\n\
         models: {'my model/1': ['no/x', x/y/z], '7': x/1}\nstreams: {on_failure: end}\ndeduplicate: off\n\
         server: {listen: '[::1]:1', body_bytes_max: 1000000, trusted_proxies: ['10.0.0.0/8', '::1'], shutdown_timeout: 0s}\n\
         rate_limit: {requests_per_minute: 9, concurrent: 2}\nroutes: [{path: '/v1/*', limits: {tokens_per_minute: 7}}]\n\
         prices: {'gpt-4o*': {input: 0.15, output: 2.5}}"
            .replace("'my model/1'", "my-model/1"),
    ];
    for text in texts {
        let first = good(&text);
        let shown = effective(&first);
        let second = good(&shown);
        assert_eq!(shown, effective(&second));
        assert_eq!(first.system_prompt, second.system_prompt);
        assert_eq!(first.models, second.models);
        assert_eq!(first.preference, second.preference);
        assert_eq!((first.per_address, &first.routes), (second.per_address, &second.routes));
        assert_eq!(first.own_prices, second.own_prices);
        assert_eq!(format!("{:?}", first.server), format!("{:?}", second.server));
        assert_eq!(format!("{:?}", first.providers), format!("{:?}", second.providers));
    }
}

#[test]
fn egress_lists_every_host_once() {
    let text = "providers:\n  openai: {}\n  gpt: {type: openai}\n  ollama: {}\n  groq: {model: m, proxy: 'http://u:p@proxy:3128'}";
    assert_eq!(egress(&good(text)), ["api.openai.com:443", "127.0.0.1:11434", "proxy:3128"]);
}

//! The one normal form of a request's target, the same for key checks, limits and routing.

use super::refusal::Refusal;

/// A target's path and query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Begins with `/` (or is `*`), without empty, `.` and `..` segments; `%XX` of characters that may stand
    /// for themselves in a segment is decoded, every other one is in capitals.
    pub path: String,
    /// What follows the first `?`, as sent.
    pub query: Option<String>,
}

/// Brings a target into its normal form.
///
/// # Errors
/// [`Refusal::Malformed`] when it is no origin-form or absolute-form, holds control bytes, bytes above ASCII, a
/// fragment, a broken or dangerous `%XX`, or climbs above the root.
pub fn normal_form(method: &str, raw: &[u8]) -> Result<Target, Refusal> {
    normal_form_in(String::new(), method, raw)
}

/// The same, in the room of a path that nobody needs any more.
pub(super) fn normal_form_in(room: String, method: &str, raw: &[u8]) -> Result<Target, Refusal> {
    if raw == b"*" {
        return if method == "OPTIONS" {
            Ok(Target { path: "*".to_owned(), query: None })
        } else {
            Err(Refusal::Malformed("the target * is for OPTIONS only"))
        };
    }
    let raw = if raw.first() == Some(&b'/') { raw } else { without_authority(raw)? };
    let (path, query) = match raw.iter().position(|byte| *byte == b'?') {
        Some(at) => (&raw[..at], Some(&raw[at + 1..])),
        None => (raw, None),
    };
    let query = match query {
        Some(query) if query.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') => {
            Some(String::from_utf8_lossy(query).into_owned())
        }
        Some(_) => return Err(Refusal::Malformed("the query holds a byte that has no place there")),
        None => None,
    };
    Ok(Target { path: unambiguous(path, normal_path(room, path)?)?, query })
}

/// A `%2F` stays what it is: no slash. Who stands before us may take it for one (nginx does), and must not see another
/// place than we do: `/a%2Fb/../c` is `/c` to us, and `/a/c` to him.
fn unambiguous(raw: &[u8], path: String) -> Result<String, Refusal> {
    const SLASH: &str = "%2F";
    if !raw.contains(&b'%') {
        return Ok(path);
    }
    let raw = String::from_utf8_lossy(raw).replace("%2f", "/").replace(SLASH, "/");
    match normal_path(String::new(), raw.as_bytes()) {
        Ok(theirs) if theirs == path.replace(SLASH, "/") => Ok(path),
        _ => Err(Refusal::Malformed("the path means another place when %2F is taken for a slash")),
    }
}

/// `http://host:port/path` as `/path`.
fn without_authority(raw: &[u8]) -> Result<&[u8], Refusal> {
    const WRONG: Refusal = Refusal::Malformed("the target must begin with / or http://");
    let rest = [&b"http://"[..], b"https://"]
        .iter()
        .find_map(|scheme| {
            let begins = raw.get(..scheme.len())?.eq_ignore_ascii_case(scheme);
            begins.then(|| &raw[scheme.len()..])
        })
        .ok_or(WRONG)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    if !is_host(&rest[..end]) {
        return Err(WRONG);
    }
    match rest.get(end) {
        None => Ok(b"/"),
        Some(b'/') => Ok(&rest[end..]),
        Some(_) => Err(WRONG),
    }
}

/// Whether this is `host` or `host:port`, as in a `Host` field or an absolute target.
pub(super) fn is_host(text: &[u8]) -> bool {
    let (name, port) = match text.iter().rposition(|byte| *byte == b':') {
        Some(at) if !text[at..].contains(&b']') => (&text[..at], &text[at + 1..]),
        _ => (text, &[][..]),
    };
    let letters =
        |part: &[u8]| part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(byte));
    let named = match name {
        [b'[', inside @ .., b']'] => {
            !inside.is_empty() && inside.iter().all(|byte| byte.is_ascii_hexdigit() || b":.%".contains(byte))
        }
        name => !name.is_empty() && letters(name),
    };
    named && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

fn normal_path(mut path: String, raw: &[u8]) -> Result<String, Refusal> {
    path.clear();
    path.reserve(raw.len());
    match std::str::from_utf8(raw) {
        Ok(text) if is_normal(raw) => path.push_str(text),
        _ => walk(&mut path, raw)?,
    }
    Ok(path)
}

/// Puts a path's normal form into the room, byte by byte.
fn walk(path: &mut String, raw: &[u8]) -> Result<(), Refusal> {
    let mut at = 0;
    while at < raw.len() {
        match raw[at] {
            b'/' => {
                close_segment(path)?;
                if !path.ends_with('/') {
                    path.push('/');
                }
                at += 1;
            }
            b'%' => {
                decode(path, raw.get(at + 1..at + 3).unwrap_or_default())?;
                at += 3;
            }
            byte if is_plain(byte) => {
                path.push(char::from(byte));
                at += 1;
            }
            _ => return Err(Refusal::Malformed("the path holds a byte that has no place there")),
        }
    }
    if close_segment(path)? && !path.ends_with('/') {
        path.push('/');
    }
    Ok(())
}

/// Whether nothing is to be done: segments of plain bytes, none of them empty or with a dot at its beginning.
fn is_normal(raw: &[u8]) -> bool {
    let mut before = 0;
    raw.first() == Some(&b'/')
        && raw.iter().all(|&byte| {
            let after_slash = std::mem::replace(&mut before, byte) == b'/';
            if after_slash { is_plain(byte) && byte != b'.' } else { byte == b'/' || is_plain(byte) }
        })
}

/// Takes `.` and `..` away when the last segment is one of them; says whether it was.
fn close_segment(path: &mut String) -> Result<bool, Refusal> {
    let from = path.rfind('/').map_or(0, |at| at + 1);
    match &path[from..] {
        "." => path.truncate(from),
        ".." => {
            let parent = path[..from.saturating_sub(1)].rfind('/');
            let Some(parent) = parent else {
                return Err(Refusal::Malformed("the path climbs above its root"));
            };
            path.truncate(parent + 1);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Puts what `%XX` stands for: itself where it may stand in a segment, else `%XX` in capitals.
fn decode(path: &mut String, digits: &[u8]) -> Result<(), Refusal> {
    const WRONG: Refusal = Refusal::Malformed("the path holds a broken %XX");
    let value =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(WRONG);
    let &[high, low] = digits else { return Err(WRONG) };
    let byte = value(high)? * 16 + value(low)?;
    if byte.is_ascii_control() {
        return Err(Refusal::Malformed("the path holds a control character"));
    }
    if is_plain(byte) {
        path.push(char::from(byte));
    } else {
        path.push('%');
        path.push(char::from(high.to_ascii_uppercase()));
        path.push(char::from(low.to_ascii_uppercase()));
    }
    Ok(())
}

/// RFC 3986, `pchar` without `%`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> Option<String> {
        normal_form("GET", raw.as_bytes()).ok().map(|target| target.path)
    }

    #[test]
    fn many_spellings_have_one_form() {
        for raw in [
            "/v1/models",
            "//v1//models",
            "/v1/./models",
            "/x/../v1/models",
            "/%76%31/models",
            "/x/%2e%2E/v1/models",
            "http://host/v1/models",
            "HTTPS://host:443/v1/models",
            "http://[::1]:80//v1/models",
        ] {
            assert_eq!(path(raw).as_deref(), Some("/v1/models"), "{raw}");
        }
        assert_eq!(path("/").as_deref(), Some("/"));
        assert_eq!(path("http://host").as_deref(), Some("/"));
        assert_eq!(path("/v1/models/.").as_deref(), Some("/v1/models/"));
        assert_eq!(path("/v1/models/x/..").as_deref(), Some("/v1/models/"));
        assert_eq!(path("/a//../b").as_deref(), Some("/b"));
        assert_eq!(path("/v1/models/llama3%3a8b").as_deref(), Some("/v1/models/llama3:8b"));
        assert_eq!(path("/v1/models/meta%2fllama").as_deref(), Some("/v1/models/meta%2Fllama"));
        assert_eq!(path("/%c3%a4").as_deref(), Some("/%C3%A4"));
        assert_eq!(path("/%252e%252e/x").as_deref(), Some("/%252e%252e/x"));
    }

    #[test]
    fn a_path_taken_as_it_is_is_one_the_walk_leaves_alone() {
        let mut taken = 0;
        for plain in ["/", "/v1/chat/completions", "/v1/models/a.b:c", "/a/", "//a/./b/../c", "/.a/b"] {
            for at in 0..=plain.len() {
                for byte in 0..=u8::MAX {
                    let mut other = plain.as_bytes().to_vec();
                    other.insert(at, byte);
                    let mut replaced = other.clone();
                    if at < plain.len() {
                        replaced.remove(at + 1);
                    }
                    for raw in [other, replaced] {
                        if !is_normal(&raw) {
                            continue;
                        }
                        let mut walked = String::new();
                        assert_eq!(walk(&mut walked, &raw), Ok(()), "{}", raw.escape_ascii());
                        assert_eq!(walked.as_bytes(), raw);
                        taken += 1;
                    }
                }
            }
        }
        assert!(taken > 1000, "{taken}");
    }

    #[test]
    fn dangerous_targets_have_none() {
        for raw in [
            "/..",
            "/../x",
            "/a/../../x",
            "/%2e%2e/x",
            "/%00",
            "/%0d%0a",
            "/%7f",
            "/%",
            "/%4",
            "/%zz",
            "/%+1",
            "/a b",
            "/a#b",
            "/a\\b",
            "/\"",
            "/<x>",
            "/\u{e4}",
            "x",
            "",
            "ftp://host/",
            "http://",
            "http:///x",
            "http://a@b/",
            "http://host?x",
            "*",
            "host:443",
            "/a%2Fb/../c",
            "/a%2f../c",
            "/a/%2fb",
            "/a%2f%2e%2e%2fb",
            "/x?a#b",
            "/x?\u{e4}",
        ] {
            assert_eq!(path(raw), None, "{raw}");
        }
    }

    #[test]
    fn the_query_is_kept_as_sent_and_the_asterisk_is_for_options() {
        let target = normal_form("GET", b"/x?a=%2e&b=/../?c").expect("a fine target");
        assert_eq!((target.path.as_str(), target.query.as_deref()), ("/x", Some("a=%2e&b=/../?c")));
        assert_eq!(normal_form("OPTIONS", b"*").expect("a fine target").path, "*");
    }

    #[test]
    fn hosts_are_names_or_addresses_with_an_optional_port() {
        for host in ["a", "a.b-c:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "a:"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["", ":80", "a/b", "a@b", "a b", "a:b", "a:123456", "[::1", "[]", "a,b", "a\0", "::1"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}

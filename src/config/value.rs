//! How single values are written: durations, sizes, dates, networks, addresses and names.

use super::Network;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Longest duration a file may ask for; anything longer is a slip.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Characters in a name of the operator's; names become metric labels and header values.
const NAME_CHARACTERS_MAX: usize = 64;

/// Reads `30s`, `1m`, `500ms`, `1h30m`, `1.5s` (units d h m s ms us ns, as Go writes them).
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a duration such as 500ms, 30s or 1h30m".to_owned();
    if text.parse::<f64>().is_ok() {
        return Err(format!("{text} has no unit: write {text}s or {text}ms"));
    }
    let mut rest = text.trim();
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let seconds = match &rest[..end] {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(wrong()),
        };
        rest = &rest[end..];
        total += number * seconds;
    }
    let whole = Duration::try_from_secs_f64(total).map_err(|_| wrong())?;
    if text.trim().is_empty() {
        return Err(wrong());
    }
    if whole > DURATION_MAX {
        return Err("must be at most ten years".to_owned());
    }
    // What was meant as 100ms must not come out as 100.000001ms.
    Ok(Duration::from_micros(u64::try_from(whole.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)))
}

/// Writes a duration the way [`duration`] reads it, in the largest unit that leaves nothing over.
pub(super) fn duration_text(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros == 0 {
        return "0s".to_owned();
    }
    for (unit, size) in
        [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000)]
    {
        if micros.is_multiple_of(size) {
            return format!("{}{unit}", micros / size);
        }
    }
    format!("{micros}us")
}

/// Reads `16KiB`, `16MiB`, `32k` (1024 each, as nginx), `16KB` (1000 each) or bare bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "must be a size such as 16KiB, 256MiB or a number of bytes".to_owned();
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Writes a size the way [`size`] reads it.
pub(super) fn size_text(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes > 0 && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

/// Reads `2027-01-01` (the beginning of that day, UTC) or `2027-01-01T18:30:00Z`.
pub(super) fn date(text: &str) -> Result<SystemTime, String> {
    let wrong = || "must be a date such as 2027-01-01 or 2027-01-01T18:30:00Z".to_owned();
    let number = |part: &str, digits: usize| -> Result<u64, String> {
        let valid = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        if valid { part.parse().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    let (day, time) = text.split_once('T').map_or((text, None), |(day, time)| (day, Some(time)));
    let parts: Vec<&str> = day.split('-').collect();
    let [year, month, day] = parts[..] else { return Err(wrong()) };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let in_month = usize::try_from(month)
        .ok()
        .and_then(|m| lengths.get(m.checked_sub(1)?).copied())
        .ok_or_else(wrong)?;
    if year < 1970 || day < 1 || day > in_month {
        return Err(wrong());
    }
    let before = year - 1;
    let leap_days = |y: u64| y / 4 - y / 100 + y / 400;
    let days = (year - 1970) * 365 + leap_days(before) - leap_days(1969)
        + lengths.iter().take(usize::try_from(month - 1).unwrap_or(0)).sum::<u64>()
        + (day - 1);
    let mut seconds = days * 86_400;
    if let Some(time) = time {
        let parts: Vec<&str> = time.strip_suffix('Z').ok_or_else(wrong)?.split(':').collect();
        let [hour, minute, second] = parts[..] else { return Err(wrong()) };
        let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
        if hour > 23 || minute > 59 || second > 59 {
            return Err(wrong());
        }
        seconds += hour * 3600 + minute * 60 + second;
    }
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Writes a date the way [`date`] reads it.
pub(super) fn date_text(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    // Days to civil date: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let date = format!("{year:04}-{month:02}-{day:02}");
    match seconds % 86_400 {
        0 => date,
        rest => format!("{date}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60),
    }
}

/// Reads `10.0.0.0/8`, `fd00::/8` or a single address.
pub(super) fn network(text: &str) -> Result<Network, String> {
    let wrong = || "must be an address or a network such as 10.0.0.0/8".to_owned();
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u8 = prefix.map_or(Ok(longest), |p| p.parse().map_err(|_| wrong()))?;
    if prefix > longest { Err(wrong()) } else { Ok(Network { address, prefix }) }
}

/// Splits `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` or `:8080` (all interfaces) into host and port.
pub(super) fn listen(text: &str) -> Result<(String, u16), String> {
    let wrong = || "must be an address and a port such as 127.0.0.1:8080".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { port.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
    Ok((self::host(host)?, port))
}

/// Checks a host to listen on; an empty one means all interfaces, an IPv6 address gets its brackets.
pub(super) fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if text.is_empty() {
        return Ok("0.0.0.0".to_owned());
    }
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => Ok(format!("[{address}]")),
        Ok(IpAddr::V4(address)) => Ok(address.to_string()),
        Err(_) if bare == text && host_name(text) => Ok(text.to_owned()),
        Err(_) => Err("must be an address or a host name".to_owned()),
    }
}

fn host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// A URL taken apart as far as we need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) https: bool,
    /// `user:password`, where allowed.
    pub(super) userinfo: Option<String>,
    /// An IPv6 address has its brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// Empty, or `/` and more; without a trailing slash.
    pub(super) path: String,
}

impl Url {
    pub(super) fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// The URL without user and password.
    pub(super) fn plain(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{}{port}{}", self.host, self.path)
    }

    pub(super) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Takes an `http` or `https` URL apart; no query, no fragment.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let (scheme, rest) = text.split_once("://").ok_or("must begin with http:// or https://")?;
    let https = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err("must begin with http:// or https://".to_owned()),
    };
    if rest.contains(|c: char| {
        c.is_ascii_control() || !c.is_ascii() || matches!(c, ' ' | '?' | '#' | '\\' | '"')
    }) {
        return Err("must be a plain URL: no space, query or fragment".to_owned());
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let (userinfo, address) = authority
        .rsplit_once('@')
        .map_or((None, authority), |(user, address)| (Some(user.to_owned()), address));
    let after_brackets = address.rfind(']').map_or(0, |end| end + 1);
    let (name, port) = match address[after_brackets..].rfind(':') {
        Some(colon) => (&address[..after_brackets + colon], Some(&address[after_brackets + colon + 1..])),
        None => (address, None),
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err("has a port that is not between 1 and 65535".to_owned()),
    };
    if name.is_empty() || host(name).is_err() || (name.contains(':') && after_brackets == 0) {
        return Err("has no valid host".to_owned());
    }
    let path = path.trim_end_matches('/').to_owned();
    Ok(Url { https, userinfo, host: name.to_ascii_lowercase(), port, path })
}

/// A provider's base URL: without user, password, trailing slash or trailing `/v1`.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let mut parsed = url(text)?;
    if parsed.userinfo.is_some() {
        return Err("must not contain a user or password: use api_key".to_owned());
    }
    if let Some(prefix) = parsed.path.strip_suffix("/v1") {
        parsed.path = prefix.trim_end_matches('/').to_owned();
    }
    Ok(parsed)
}

/// Checks a name: `[A-Za-z0-9._-]{1,64}`.
pub(super) fn name(text: &str) -> Result<(), String> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !text.is_empty() && text.len() <= NAME_CHARACTERS_MAX && text.bytes().all(valid) {
        Ok(())
    } else {
        Err(format!(
            "must be a name of letters, digits, dots, - and _, at most {NAME_CHARACTERS_MAX} characters"
        ))
    }
}

/// Checks a model's name or pattern.
pub(super) fn model(text: &str) -> Result<(), String> {
    let valid = !text.is_empty() && text.len() <= 256 && !text.contains(|c: char| c.is_control() || c == ' ');
    if valid { Ok(()) } else { Err("must be a model's name, without spaces".to_owned()) }
}

/// Checks a secret that travels in a header: visible ASCII, and spaces only for whole header values.
pub(super) fn secret(text: &str, spaces: bool) -> Result<(), String> {
    let valid = text.bytes().all(|b| b.is_ascii_graphic() || (spaces && matches!(b, b' ' | b'\t')));
    if valid { Ok(()) } else { Err("contains a character that cannot travel in a header".to_owned()) }
}

/// Checks an origin: `*`, or scheme, host and port without a path.
pub(super) fn origin(text: &str) -> Result<(), String> {
    let plain = |parsed: Url| parsed.path.is_empty() && parsed.userinfo.is_none() && !text.ends_with('/');
    if text == "*" || url(text).is_ok_and(plain) {
        Ok(())
    } else {
        Err("must be * or an origin such as https://app.example.com".to_owned())
    }
}

/// Checks that a file is there.
pub(super) fn existing_file(text: &str) -> Result<(), String> {
    if Path::new(text).is_file() { Ok(()) } else { Err("names a file that does not exist".to_owned()) }
}

//! The file is found and read; durations, sizes and dates mean what is written.

use super::*;

#[test]
fn the_file_is_where_the_command_line_or_the_environment_says() {
    let env = |name: &str| (name == "CONFIG_PATH").then(|| "/etc/hapax.yaml".to_owned());
    assert_eq!(find(Some(std::path::Path::new("x.yaml")), &env), Some(PathBuf::from("x.yaml")));
    assert_eq!(find(None, &env), Some(PathBuf::from("/etc/hapax.yaml")));
    assert_eq!(
        find(None, &|_| None),
        Some(PathBuf::from("config.yaml")),
        "beside the manifest, where tests run"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_not_a_default() {
    let path = std::env::temp_dir().join(format!("hapax-config-{}.yaml", std::process::id()));
    let name = path.display().to_string();
    let missing = load(&path, &|_| None).expect_err("missing").to_string();
    assert!(missing.starts_with(&format!("{name}: cannot be read: ")), "{missing}");
    std::fs::write(&path, b"server: {}\nlogging: {level: \xff}\n").expect("written");
    assert_eq!(
        load(&path, &|_| None).expect_err("not text").to_string(),
        format!("{name}:2:1: is not UTF-8")
    );
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("written");
    assert!(load(&path, &|_| None).expect_err("long").to_string().contains("longer"));
    std::fs::write(&path, "\u{feff}server: {workers: 7}\n").expect("written");
    assert_eq!(load(&path, &|_| None).expect("a BOM is no problem").server.workers, 7);
    std::fs::remove_file(&path).expect("removed");
}

#[test]
fn durations_and_sizes_are_read_as_written() {
    for (text, micros) in [
        ("500ms", 500_000),
        ("1h30m", 5_400_000_000),
        ("1.5s", 1_500_000),
        ("1d", 86_400_000_000_u64),
        ("100us", 100),
        ("0s", 0),
    ] {
        assert_eq!(value::duration(text), Ok(Duration::from_micros(micros)), "{text}");
    }
    for text in ["", "s", "5", "5.5", "5 s s", "-5s", "5x", "1..5s", "9999999d", "5s3"] {
        assert!(value::duration(text).is_err(), "{text:?}");
    }
    for (text, bytes) in
        [("16KiB", 16384), ("32k", 32768), ("1 MiB", 1 << 20), ("2KB", 2000), ("7", 7), ("1GiB", 1 << 30)]
    {
        assert_eq!(value::size(text), Ok(bytes), "{text}");
    }
    for text in ["", "KiB", "-1", "1.5MiB", "1XB", "99999999999GiB"] {
        assert!(value::size(text).is_err(), "{text:?}");
    }
    for text in ["30s", "1m", "90s", "500ms", "1500us", "2h", "25h", "400d", "0s"] {
        let read = value::duration(text).expect("valid");
        assert_eq!(value::duration_text(read), text);
    }
}

#[test]
fn dates_are_the_calendars() {
    let seconds = |text: &str| {
        value::date(text).map(|at| at.duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs())
    };
    for (text, expected) in [
        ("1970-01-01", 0),
        ("2000-03-01", 951_868_800),
        ("2024-02-29", 1_709_164_800),
        ("2027-01-01", 1_798_761_600),
        ("2100-12-31T23:59:59Z", 4_133_980_799),
    ] {
        assert_eq!(seconds(text), Ok(expected), "{text}");
        assert_eq!(value::date_text(value::date(text).expect("valid")), text);
    }
    for text in [
        "2023-02-29",
        "2027-13-01",
        "2027-00-10",
        "2027-1-1",
        "27-01-01",
        "1969-12-31",
        "2027-01-01T25:00:00Z",
        "2027-01-01T10:00:00",
        "tomorrow",
    ] {
        assert!(seconds(text).is_err(), "{text}");
    }
}

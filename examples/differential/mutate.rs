//! Cases: proper requests, broken by chance in ways that have broken others.

/// Proper requests, and pairs of them, to begin with.
const SEEDS: &[&[u8]] = &[
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a/../b?c=d HTTP/1.1\r\nHost: x:80\r\nA: b\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello hello",
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"POST /a HTTP/1.0\r\nHost: x\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a/./b//c/%2e%2e/d%2Fe%20f/..;/%C3%A4 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //a/%61/..%2f../.b/c../.../%25%5c?/../d#e HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
];

/// What to put in.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\x80",
    b"\xa0",
    b":",
    b";",
    b",",
    b"/",
    b"//",
    b"/./",
    b"/../",
    b"%2e%2e",
    b"%2f",
    b"%2E",
    b"..",
    b".",
    b"/..",
    b"%25",
    b"%5C",
    b"%c3%a4",
    b"%20",
    b"..;/",
    b"%00",
    b"%0d%0a",
    b"%",
    b"#",
    b"?",
    b"\\",
    b"@",
    b"+",
    b"-",
    b"0x",
    b"0",
    b"5",
    b"00",
    b"1_0",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 2\r\n",
    b"content-length:3\r\n",
    b"Content-Length : 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: 0x5\r\n",
    b"Content-Length: 18446744073709551621\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b" chunked",
    b"Host: y\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: Content-Length\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b" folded: line\r\n",
    b": nameless\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"5;a\r\n",
    b"5 \r\n",
    b"ffffffffffffffff\r\n",
    b"10000000000000005\r\n",
    b"A: b\r\n",
];

/// A generator of small repute and known order: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % below.max(1) as u64) as usize
    }
}

/// The case of this number.
pub fn case(seed: u64, number: u64) -> Vec<u8> {
    let mut dice =
        Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ number.wrapping_mul(0x9e37_79b9_97f4_a7c5));
    let mut bytes = SEEDS[dice.roll(SEEDS.len())].to_vec();
    for _ in 0..1 + dice.roll(3) {
        mutate(&mut bytes, &mut dice);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    let to = (at + dice.roll(12)).min(bytes.len());
    match dice.roll(9) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.roll(256) as u8;
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.roll(8);
            }
        }
        2 => drop(bytes.drain(at..to)),
        3 => {
            let piece = bytes[at..to].to_vec();
            bytes.splice(at..at, piece);
        }
        4 | 5 => {
            let word = WORDS[dice.roll(WORDS.len())];
            bytes.splice(at..at, word.iter().copied());
        }
        // At the beginning of a line, where a field has its place.
        6 | 7 => {
            let lines: Vec<_> = bytes.windows(2).enumerate().filter(|(_, pair)| pair == b"\r\n").collect();
            let at = lines.get(dice.roll(lines.len())).map_or(0, |(at, _)| at + 2);
            let word = WORDS[dice.roll(WORDS.len())];
            bytes.splice(at..at, word.iter().copied());
        }
        _ => bytes.extend_from_slice(SEEDS[dice.roll(SEEDS.len())]),
    }
}

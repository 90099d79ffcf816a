//! The fuzz targets' seeds, and some thousand deterministic mutations of them, through the same checks.

#[path = "../../../fuzz/checks.rs"]
mod checks;

use std::fs;
use std::path::Path;

/// Mutations of each target's seeds together.
const MUTATIONS: usize = 500;

/// Splitmix64: the same numbers every time.
fn dice(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((mixed ^ mixed >> 31) >> 1).unwrap_or(0)
}

fn mutated(seed: &[u8], other: &[u8], state: &mut u64) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + dice(state) % 4 {
        let at = dice(state) % (bytes.len() + 1);
        let to = (at + dice(state) % 16).min(bytes.len());
        match dice(state) % 5 {
            0 => bytes.insert(at, dice(state).to_le_bytes()[0]),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => {
                let from = dice(state) % (other.len() + 1);
                let end = (from + dice(state) % 64).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (dice(state) % 8);
                }
            }
        }
    }
    bytes
}

#[test]
fn seeds_of_the_fuzz_targets_and_their_mutations_keep_every_promise() {
    for (name, check, choosing) in checks::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus-seed").join(name);
        let mut paths: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("the folder is readable").path())
            .collect();
        paths.sort();
        assert!(paths.len() >= 3, "{name} has too few seeds");
        let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).expect("a seed is readable")).collect();
        for seed in &seeds {
            check(seed);
            // Everything else that can be done with the same bytes.
            let mut seed = seed.clone();
            for first in (0..=u8::MAX).filter(|_| *choosing > 0) {
                seed[0] = first;
                check(&seed);
            }
        }
        let mut state = 1;
        for _ in 0..MUTATIONS {
            let seed = &seeds[dice(&mut state) % seeds.len()];
            let other = &seeds[dice(&mut state) % seeds.len()];
            check(&mutated(seed, other, &mut state));
        }
    }
}

#[test]
fn every_check_has_its_fuzz_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let files = fs::read_dir(&folder).expect("the targets are there");
    let mut there: Vec<_> = files
        .map(|entry| entry.expect("the folder is readable").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    there.sort();
    let mut here: Vec<_> = checks::ALL.iter().map(|(name, ..)| (*name).to_owned()).collect();
    here.sort();
    assert_eq!(here, there);
    let manifest = fs::read_to_string(folder.with_file_name("Cargo.toml")).expect("it is there");
    assert!(here.iter().all(|name| manifest.contains(&format!("name = \"{name}\""))));
}

// SPDX-License-Identifier: GPL-2.0

//! All inputs of the stored corpus once more: what fuzzing has found stays found.

use std::fs;
use std::path::Path;

#[test]
fn corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for name in wireguard_fuzz::NAMES {
        let run = wireguard_fuzz::target(name).unwrap();
        let mut files: Vec<_> = fs::read_dir(corpus.join(name))
            .unwrap_or_else(|e| panic!("corpus of {name}: {e}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() >= 4, "the corpus of {name} is as good as empty");
        for file in files {
            println!("{}", file.display());
            run(&fs::read(&file).unwrap());
        }
    }
}

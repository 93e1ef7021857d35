//! Every built-in recipe against NumPy (`data/recipes.json`, made by `scripts/recipes_goldens.py`): from
//! the same vectors each gives the same matches.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use doppel::device;
use doppel::listings::Listings;
use doppel::recipe::{Given, Job, Of, Quiet, Recipe, Side, catalogue, run};
use doppel::tensor::{Matrix, Rows};
use safetensors::tensor::{Dtype, TensorView, serialize};

#[derive(serde::Deserialize)]
struct Golden {
    seed: u64,
    rows: usize,
    dims: usize,
    pair_bias: f32,
    recipes: Vec<Answer>,
}

#[derive(serde::Deserialize)]
struct Answer {
    name: String,
    pairs: usize,
    matches: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("data/recipes.json")).unwrap()
}

impl Golden {
    /// FNV-1a, with the seed mixed in.
    fn fnv(&self, text: &str) -> u64 {
        let step = |h: u64, byte: u8| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        text.bytes().fold(0xCBF2_9CE4_8422_2325 ^ self.seed, step)
    }

    /// Groups of 1, 2, 3, 4 and 5 listings, over and over.
    fn groups(&self) -> Vec<usize> {
        let sizes = (0..).flat_map(|group| std::iter::repeat_n(group, group % 5 + 1));
        sizes.take(self.rows).collect()
    }

    /// The vectors of a space, as the script makes them.
    fn vectors(&self, name: &str) -> Matrix {
        const SPREAD: [f64; 5] = [0.15, 0.35, 0.6, 0.9, 1.3];
        let mut state = self.fnv(name);
        let offset = (state % 5) as usize;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / 16_777_216.0 - 0.5
        };
        let (mut centre, mut last) = (Vec::new(), None);
        let mut data = Vec::new();
        for (row, group) in self.groups().into_iter().enumerate() {
            if last != Some(group) {
                last = Some(group);
                centre = (0..self.dims).map(|_| draw()).collect();
            }
            let spread = SPREAD[(row * 7 + offset) % 5];
            data.extend(centre.iter().map(|c| (5.0 * (c + spread * draw())) as f32));
        }
        Matrix::new(self.rows, self.dims, data).unwrap()
    }

    /// The classifier of pairs, as the script makes it.
    fn pair(&self, path: &Path) {
        let mut state = self.fnv("pair");
        let mut draws = |count: usize| -> Vec<u8> {
            let draw = |_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as f64 / 16_777_216.0 - 0.5) as f32
            };
            (0..count).map(draw).flat_map(f32::to_le_bytes).collect()
        };
        let (inner, dims) = (24, 2 * self.dims);
        let tensors = [
            ("fc1.weight", vec![inner, dims], draws(inner * dims)),
            ("fc1.bias", vec![inner], draws(inner)),
            ("fc2.weight", vec![1, inner], draws(inner)),
            ("fc2.bias", vec![1], self.pair_bias.to_le_bytes().to_vec()),
        ];
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
            (*name, view)
        });
        std::fs::write(path, serialize(views, None).unwrap()).unwrap();
    }

    /// Listings with an id, a hash, and a quantity in the title.
    fn listings(&self, folder: &Path) -> Listings {
        let mut text = String::from("posting_id,image_phash,title\n");
        for (i, group) in self.groups().into_iter().enumerate() {
            let named = match group % 3 {
                0 => format!("g{group}"),
                _ => format!("i{i}"),
            };
            let hash = self.fnv(&named);
            let grams = if i % 7 == 0 { 200 } else { 100 };
            text.push_str(&format!("p{i},{hash:016x},kopi {grams} gr\n"));
        }
        let path = folder.join("listings.csv");
        std::fs::write(&path, text).unwrap();
        Listings::read(&path).unwrap()
    }

    /// What `recipe` answers: each listing's matches, ascending.
    fn answers(&self, recipe: &Recipe, listings: &Listings) -> Vec<String> {
        let job = Job {
            side: Side {
                given: self.given(recipe),
                ..Side::new(listings)
            },
            ..Job::new(listings, recipe, device::open("cpu").unwrap())
        };
        let outcome = run(&job, &Quiet).unwrap_or_else(|e| panic!("{}: {e}", recipe.name));
        let row = |i: usize| {
            let mut rows: Vec<u32> = outcome.matches.rows(i).collect();
            rows.sort_unstable();
            let rows: Vec<String> = rows.iter().map(u32::to_string).collect();
            rows.join(" ")
        };
        (0..outcome.matches.len()).map(row).collect()
    }

    /// The vectors of all spaces that have some of their own.
    fn given(&self, recipe: &Recipe) -> Vec<(String, Given)> {
        let own = |of: &Of| !matches!(of, Of::Phash | Of::Concat(_)) && !of.is_scores();
        let spaces = recipe.spaces.iter().filter(|s| own(&s.of));
        let given = spaces.map(|s| {
            let rows = Rows::Dense(self.vectors(&s.name));
            (s.name.clone(), Given::Rows(Arc::new(rows)))
        });
        given.collect()
    }
}

#[test]
fn every_recipe_answers_as_numpy_does() {
    let golden = golden();
    let folder = tempfile::tempdir().unwrap();
    let listings = golden.listings(folder.path());
    golden.pair(&folder.path().join("pair.safetensors"));
    let answers: BTreeMap<&str, &Answer> =
        golden.recipes.iter().map(|a| (&a.name[..], a)).collect();
    let names: Vec<&str> = answers.keys().copied().collect();
    let mut built_in: Vec<&str> = catalogue::names().collect();
    built_in.sort_unstable();
    assert_eq!(names, built_in, "each recipe has its golden");
    for name in catalogue::names() {
        let recipe = catalogue::parse(name, folder.path()).unwrap();
        let found = golden.answers(&recipe, &listings);
        let wanted: Vec<&str> = answers[name].matches.split('|').collect();
        for (i, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            assert_eq!(found, wanted, "{name}, listing {i}");
        }
        assert_eq!((found.len(), wanted.len()), (golden.rows, golden.rows));
        let ids = found.iter().flat_map(|row| row.split(' ')).count();
        assert_eq!(ids - golden.rows, answers[name].pairs);
        assert!(answers[name].pairs > 0, "{name} matches nothing");
    }
}

#[test]
fn another_threshold_would_show() {
    let golden = golden();
    let folder = tempfile::tempdir().unwrap();
    let listings = golden.listings(folder.path());
    golden.pair(&folder.path().join("pair.safetensors"));
    for answer in &golden.recipes {
        let mut recipe = catalogue::parse(&answer.name, folder.path()).unwrap();
        let numbers = recipe.fusion.numbers();
        let looser = numbers.iter().map(|n| (n.value * 1.2).min(2.0));
        recipe.fusion = recipe.fusion.with_numbers(&looser.collect::<Vec<_>>());
        let found = golden.answers(&recipe, &listings).join("|");
        assert_ne!(found, answer.matches, "{}", answer.name);
    }
}

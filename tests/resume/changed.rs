//! What is reused when one thing is another: nothing that depends on it, and all that does not.

use crate::bench::{Bench, RECIPE, title};

/// Changes something, runs over the results from before, and compares with a run from nothing.
fn after(bench: &Bench, what: &str, made: &[&str]) {
    bench.copy("whole", "work", &|_| true);
    let ran = bench.run("work", "out").ends(1);
    let fresh = bench
        .run(&format!("fresh {what}").replace(' ', "-"), "fresh")
        .ends(1);
    assert!(fresh.stages().1.is_empty());
    assert!(bench.files("out") == bench.files("fresh"), "{what}");
    let (found, reused) = ran.stages();
    assert_eq!(found, made, "{what}; reused: {reused:?}");
    let mut all: Vec<String> = found.into_iter().chain(reused).collect();
    let mut stages = fresh.stages().0;
    all.sort();
    stages.sort();
    assert_eq!(all, stages, "{what}");
}

#[test]
fn a_change_costs_what_depends_on_it() {
    let bench = Bench::new();
    bench.run("whole", "expected").ends(1);
    after(&bench, "nothing", &["match", "write"]);

    bench.write_listings(&|row| match row {
        5 => "another thing altogether".into(),
        _ => title(row),
    });
    let titles = [
        "tfidf words",
        "titles title",
        "search title",
        "blend title",
        "concat both",
        "search words",
        "search title 2",
        "search both",
        "match",
        "write",
    ];
    after(&bench, "a title", &titles);
    bench.write_listings(&title);
    after(&bench, "the title as it was", &["match", "write"]);

    // The ids and lines of what could not be used are those of the listings as they are now.
    let listings = std::fs::read_to_string(bench.path("l.csv")).unwrap();
    bench.write("l.csv", listings.replace("\np", "\n\nq"));
    after(&bench, "the ids", &["match", "write"]);
    let rejects = std::fs::read_to_string(bench.path("out/m.csv.rejects.csv")).unwrap();
    assert!(rejects.contains("\n12,q11,image,"), "{rejects}");
    bench.write("l.csv", listings);

    let photos = [
        "embed photo",
        "search photo",
        "expand photo",
        "concat both",
        "search photo 2",
        "search both",
        "match",
        "write",
    ];
    let photo = std::fs::read(bench.path("photos/3.jpg")).unwrap();
    bench.write(
        "photos/3.jpg",
        std::fs::read(bench.path("photos/4.jpg")).unwrap(),
    );
    let hashed = ["phash"].iter().chain(&photos).copied();
    let mut hashed: Vec<&str> = hashed.collect();
    hashed.insert(5, "search phash");
    after(&bench, "an image", &hashed);
    bench.write("photos/3.jpg", photo);
    bench.copy("work", "whole", &|_| true);
    bench.run("whole", "expected").ends(1);

    let mut weights = std::fs::read(bench.path("resnet18.safetensors")).unwrap();
    let at = weights.len() / 2;
    weights[at] ^= 1;
    bench.write("resnet18.safetensors", &weights);
    after(&bench, "a bit of the weights", &photos);
    weights[at] ^= 1;
    bench.write("resnet18.safetensors", &weights);

    let recipe = |from: &str, to: &str| {
        assert!(RECIPE.contains(from));
        bench.write("recipe.toml", RECIPE.replace(from, to));
    };
    recipe("max_features = 25000", "max_features = 20");
    after(
        &bench,
        "an option",
        &["tfidf words", "search words", "match", "write"],
    );
    recipe("alpha = 3", "alpha = 2");
    let expanded = [
        "expand photo",
        "concat both",
        "search photo 2",
        "search both",
        "match",
        "write",
    ];
    after(&bench, "an exponent", &expanded);
    recipe("photo = 0.7", "photo = 0.8");
    after(
        &bench,
        "a weight",
        &["concat both", "search both", "match", "write"],
    );
    recipe("both < .03", "both < .04");
    after(&bench, "a reach", &["search both", "match", "write"]);
    recipe("photo < .14", "photo < .13");
    after(&bench, "a threshold within reach", &["match", "write"]);
}

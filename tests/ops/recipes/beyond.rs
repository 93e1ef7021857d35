//! Keys beyond the papers: how they read, that they come back, and what is refused.

use std::path::Path;

use doppel::recipe::Recipe;
use doppel::text::clean::{CLEAN_STEPS, CleanStep};

use super::{comes_back, parsed};

/// Reads `lines` behind a name and a rule over the space `a`.
fn with(lines: &str) -> String {
    format!("name = 'x'\nfusion = 'a < .1'\n{lines}\n")
}

#[track_caller]
fn refused(lines: &str, said: &str) {
    match Recipe::parse(&with(lines), Path::new("")) {
        Ok(recipe) => panic!("{lines}: {recipe:?}"),
        Err(error) => assert!(error.to_string().contains(said), "{lines}: {error}"),
    }
}

#[test]
fn titles_are_cleaned_in_the_order_written() {
    let every: Vec<String> = CLEAN_STEPS
        .iter()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    let every = every.join(", ");
    for of in ["tfidf = {}", "text = 'hf:'"] {
        let recipe = parsed(&with(&format!("[spaces.a]\n{of}\nclean = [{every}]")));
        let steps: Vec<CleanStep> = CLEAN_STEPS.iter().map(|s| s.1).collect();
        assert_eq!(recipe.spaces[0].clean, steps);
        comes_back(&recipe);
    }
    let two = parsed(&with(
        "[spaces.a]\ntfidf = {}\nclean = ['promo', 'lower', 'promo']",
    ));
    use CleanStep::{Lower, Promo};
    assert_eq!(two.spaces[0].clean, [Promo, Lower, Promo]);
    refused(
        "[spaces.a]\ngiven = true\nclean = ['lower']",
        "clean is no key of",
    );
    refused(
        "[spaces.a]\ntfidf = {}\nclean = ['loud']",
        "clean[1] is \"loud\"; give \"lower\" or",
    );
    refused(
        "[spaces.a]\ntfidf = {}\nclean = 'lower'",
        "clean is text in quotes; give a list",
    );
    let many = vec!["'lower'"; 33].join(", ");
    refused(
        &format!("[spaces.a]\ntfidf = {{}}\nclean = [{many}]"),
        "32 are the most",
    );
    let mut recipe = parsed(&with("[spaces.a]\ngiven = true"));
    recipe.spaces[0].clean = vec![Lower];
    let error = recipe.check().unwrap_err().to_string();
    assert!(
        error.contains("space a: it is cleaned, and does not read titles"),
        "{error}"
    );
}

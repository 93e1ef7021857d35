//! Where a recipe comes from: the paper, the row of its table, the score there and the weights it needs.

/// What was published of a recipe. All of it is for the reader: nothing here changes a match.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Published {
    /// Whose system it is.
    pub system: String,
    /// The paper or the page.
    pub paper: String,
    /// The place in it: section, table, row.
    pub place: String,
    /// What the scores are, `F1` for instance.
    pub metric: String,
    /// The score, where one was published for these settings.
    pub score: Option<f64>,
    /// What it was measured on.
    pub split: Option<String>,
    /// How many listings those were.
    pub listings: Option<usize>,
    /// Other scores of the same row, by what they were measured on.
    pub also: Vec<(String, f64)>,
    /// What a reader should know: settings that were not printed, and what was taken for them.
    pub notes: Vec<String>,
    /// The weights that its encoders need, in the order written.
    pub weights: Vec<PublishedWeights>,
}

/// The weights of one space's encoder, under the name that they were published by.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedWeights {
    /// The space.
    pub space: String,
    /// A repository of the Hugging Face hub, `timm/resnet18.a1_in1k` for instance.
    pub name: String,
    /// How they were trained further, where the score is not that of the weights as published.
    pub trained: Option<String>,
}

impl Published {
    /// The weights of `space`.
    pub fn weights_of(&self, space: &str) -> Option<&PublishedWeights> {
        self.weights.iter().find(|weights| weights.space == space)
    }
}

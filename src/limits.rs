//! Every bound of doppel in one table. Code refers to these names; no bound stands anywhere else.

/// The most matches that one listing may have, itself included (the competition's rule).
pub const MAX_MATCHES: usize = 50;
/// The most neighbours that a search may be asked for.
pub const MAX_K: usize = 1024;
/// The most rows of a CSV, a matrix or a neighbour list.
pub const MAX_ROWS: usize = 100_000_000;
/// The most columns of a CSV.
pub const MAX_COLUMNS: usize = 1024;
/// The longest field of a CSV, in bytes; a longer one rejects its row.
pub const MAX_FIELD_BYTES: usize = 1 << 20;
/// The largest CSV, in bytes.
pub const MAX_CSV_BYTES: u64 = 16 << 30;
/// The largest image file, in bytes.
pub const MAX_IMAGE_BYTES: u64 = 64 << 20;
/// The longest side of an image, in pixels.
pub const MAX_IMAGE_SIDE: u32 = 10_000;
/// The most pixels of an image.
pub const MAX_IMAGE_PIXELS: u64 = 50_000_000;
/// The most pixels of a picture whose colours are clustered; of larger pictures some are looked at.
pub const MAX_COLOUR_PIXELS: usize = 16_384;
/// The most clusters of a picture's colours.
pub const MAX_COLOURS: usize = 64;
/// The most memory that decoding one image may take, in bytes.
pub const MAX_DECODE_BYTES: u64 = 512 << 20;
/// The most scans of a JPEG; encoders write about ten.
pub const MAX_JPEG_SCANS: usize = 100;
/// The most dimensions of an embedding.
pub const MAX_DIMS: usize = 65_536;
/// How many times its length an `.npz` may unpack to, above [`MAX_DECODE_BYTES`]. Deflate alone could
/// do 1,032 times; rows that differ never come near this.
pub const MAX_NPZ_EXPANSION: u64 = 64;
/// How many batches of prepared items there may be at a time: one that is encoded, and those that
/// are prepared meanwhile.
pub const MAX_LIVE_BATCHES: usize = 3;
/// The most memory of prepared items, in bytes, over all live batches.
pub const MAX_PREPARED_BYTES: usize = 512 << 20;
/// The most page-locked memory of decoded pictures, in bytes, over all batches on their way to a card;
/// what is kept for pictures that are resized on the host may be more where a square is that large.
pub const MAX_STAGED_BYTES: usize = 768 << 20;
/// The largest power of a similarity, in query expansion and in fused similarities.
pub const MAX_POWER: f64 = 64.0;
/// The most features of a TF-IDF vocabulary.
pub const MAX_FEATURES: usize = 1 << 28;
/// The longest n-gram of TF-IDF.
pub const MAX_NGRAM: usize = 32;
/// The most words on each side that word2vec sees a word with.
pub const MAX_WINDOW: usize = 1000;
/// The most words that word2vec draws for a pair as ones that do not belong.
pub const MAX_NEGATIVE: usize = 100;
/// The most passes of word2vec over the titles.
pub const MAX_EPOCHS: usize = 10_000;
/// The most memory of word vectors, in bytes.
pub const MAX_VECTOR_BYTES: u64 = 8 << 30;
/// How deep a matching rule may nest.
pub const MAX_RULE_DEPTH: usize = 64;
/// The most steps that one modality of a sweep may take from its low to its high threshold.
pub const MAX_SWEEP_STEPS: u32 = 1_000_000;
/// The least step of a sweep that moves at all; far above what rounding does to a distance.
pub const MIN_SWEEP_STEP: f64 = 1e-9;
/// The largest recipe file, in bytes.
pub const MAX_RECIPE_BYTES: u64 = 1 << 18;
/// The longest fusion expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 1 << 16;
/// The most spaces of a recipe.
pub const MAX_SPACES: usize = 64;
/// The longest name of a space, in characters.
pub const MAX_SPACE_NAME: usize = 40;
/// The most steps that refine one space.
pub const MAX_STEPS: usize = 32;
/// The most steps that clean the titles of one space.
pub const MAX_CLEAN_STEPS: usize = 32;
/// The most floors of an agglomeration.
pub const MAX_FLOORS: usize = 32;
/// The most listings of a component whose bridges are sought; a larger one is first taken apart along its
/// weakest pairs.
pub const MAX_CUT_NODES: usize = 256;
/// The most steps (listings times pairs, over all rounds) that seeking bridges in one component takes.
pub const MAX_CUT_WORK: usize = 1 << 26;
/// The most trees of a pair model.
pub const MAX_TREES: usize = 2000;
/// The most nodes of one of its trees.
pub const MAX_TREE_NODES: usize = 1 << 13;
/// The most features of a pair.
pub const MAX_PAIR_FEATURES: usize = 2048;
/// The largest file of a pair model, in bytes.
pub const MAX_PAIR_MODEL_BYTES: u64 = 64 << 20;
/// The most passes over the numbers of a rule that is tuned.
pub const MAX_TUNE_PASSES: usize = 8;
/// The most different numbers that a rule is tried with while it is tuned.
pub const MAX_TUNE_TRIALS: usize = 5_000;
/// The most images of one run of an encoder.
pub const MAX_BATCH: usize = 4096;
/// The most worker threads.
pub const MAX_THREADS: usize = 1024;
/// The most neighbours that a card's searches give.
pub const MAX_CARD_K: usize = 1024;
/// The most spaces of a fused search on a card.
pub const MAX_CARD_SPACES: usize = 64;
/// The most modalities of a sweep on a card.
pub const MAX_CARD_SWEEP: usize = 8;
/// The most that may fire for one row while a card runs a rule.
pub const MAX_CARD_FIRED: usize = 8192;
/// The most marks that a rule's program may set at a time on a card.
pub const MAX_CARD_MARKS: usize = 256;
/// The most rows or columns of a matrix on a card: kernels count them in 32 bits, signed.
pub const MAX_CARD_SIDE: usize = (1 << 31) - 256;
/// The longest JSON header of published weights, in bytes; those of large models take a few hundred kB.
pub const MAX_WEIGHT_HEADER_BYTES: u64 = 16 << 20;
/// The most tensors of published weights; large encoders have about a thousand.
pub const MAX_WEIGHT_TENSORS: usize = 100_000;
/// The most dimensions of one published tensor.
pub const MAX_WEIGHT_RANK: usize = 8;
/// The longest name of a published tensor, in bytes.
pub const MAX_WEIGHT_NAME_BYTES: usize = 512;
/// The most files that one model's weights may be spread over.
pub const MAX_WEIGHT_SHARDS: usize = 256;
/// The most weight files that are mapped at one time; further ones are read piece by piece.
pub const MAX_WEIGHT_MAPS: usize = 64;
/// The largest JSON file of settings beside an encoder's weights, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// The most layers of a text encoder.
pub const MAX_LAYERS: usize = 256;
/// The most values of a token in a text encoder.
pub const MAX_HIDDEN: usize = 16_384;
/// The most values of a token between the two last products of a text encoder's layer.
pub const MAX_INNER: usize = 65_536;
/// The most positions of a text encoder.
pub const MAX_POSITIONS: usize = 32_768;
/// The most different titles that are held as tokens at a time.
pub const MAX_WINDOW_TITLES: usize = 65_536;
/// The most text, in bytes, whose tokens are held at a time; a single longer title is held too.
pub const MAX_WINDOW_BYTES: usize = 16 << 20;
/// The largest text encoder, in bytes of its weights as f32.
pub const MAX_TEXT_BYTES: u64 = 64 << 30;
/// The most modules that a folder of sentence-transformers may list.
pub const MAX_TEXT_MODULES: usize = 64;
/// The most tokens of one run of a text encoder.
pub const MAX_RUN_TOKENS: usize = 1 << 20;
/// The largest `tokenizer.json`, or file that one is built from, in bytes; multilingual ones take 35 MB.
pub const MAX_TOKENIZER_BYTES: u64 = 256 << 20;
/// The most tokens of a vocabulary, the most merges of one, and the most words of a text encoder.
pub const MAX_VOCABULARY: usize = 1 << 22;
/// The longest token of a vocabulary, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4096;
/// The most bytes of all tokens of a Unigram vocabulary, which is held as a tree with a node for each.
pub const MAX_UNIGRAM_BYTES: usize = 16 << 20;
/// The longest word that WordPiece may cut up, in characters; its work grows with the square.
pub const MAX_WORD_CHARS: usize = 512;
/// The most characters of a title for each token that it may give; what comes after is cut off
/// before tokenising.
pub const MAX_CHARS_PER_TOKEN: usize = 250;
/// The longest text that a tokenizer's normalizer may put in for a match, in bytes.
pub const MAX_REPLACEMENT_BYTES: usize = 256;
/// The most bytes that a title may become while it is normalized.
pub const MAX_NORMALIZED_BYTES: usize = 4 << 20;
/// The most bytes of what a stage says beside its result, and of the note on how far one has come.
pub const MAX_TOLD_BYTES: u64 = 256 << 20;
/// The longest name of a file of kept results, in bytes, without its ending.
pub const MAX_KEPT_NAME_BYTES: usize = 128;
/// The most listings of a made-up market, which is held in memory.
pub const MAX_SYNTH_LISTINGS: usize = 4_000_000;
/// The longest side of a made-up picture, in pixels.
pub const MAX_SYNTH_SIDE: usize = 2048;
/// How long a tokenizer's patterns may take for one title, in seconds.
pub const MAX_PATTERN_SECONDS: u64 = 5;

const _: () = assert!(MAX_MATCHES <= MAX_K, "a full answer must fit a search");
const _: () = assert!(MAX_ROWS < u32::MAX as usize, "rows are stored as u32");
const _: () = assert!(
    MAX_FEATURES < u32::MAX as usize,
    "features are stored as u32"
);
const _: () = assert!(
    (MAX_IMAGE_SIDE as u64) * (MAX_IMAGE_SIDE as u64) >= MAX_IMAGE_PIXELS,
    "the side's bound must not forbid what the pixel bound allows for a square"
);
/// The largest report, in bytes.
pub const MAX_REPORT_BYTES: usize = 30_000_000;
/// The most points of a map of embeddings.
pub const MAX_MAP_POINTS: usize = 20_000;

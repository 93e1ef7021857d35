//! Titles: clean, tokenise, TF-IDF.

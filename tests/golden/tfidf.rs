//! golden: tfidf

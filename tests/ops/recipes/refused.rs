//! What is wrong with a recipe is one line with the line, the key and the mend.

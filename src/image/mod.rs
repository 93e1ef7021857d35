//! Images: decode under limits, grey, resize, perceptual hash.

//! From blocks to pixels, a row of units at a time.

use image::{DynamicImage, GrayImage, RgbImage};

use super::colour::{Space, quick_rgb, to_rgb};
use super::header::Picture;
use super::idct::{idct, idct_flat};
use super::upsample::Upsampling;
use super::{Block, Damage};
use crate::error::{Error, Result};
use crate::image::wide::widest;

/// The samples of one component that are still needed: two rows of units, by turns.
struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Rows of samples in `samples`; sample row `y` is row `y % rows` of them.
    rows: usize,
    /// The samples that belong to the picture.
    width: usize,
    height: usize,
    /// Blocks across and down in a unit, and in the picture.
    v: usize,
    blocks_wide: usize,
    blocks_high: usize,
    stored_wide: usize,
    quantisation: Block,
    upsampling: Upsampling,
    /// A row at the picture's width, where the samples themselves are not.
    row: Vec<u8>,
}

impl Plane {
    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y % self.rows * self.stride..][..self.width]
    }

    /// Makes the picture's row `y` of this component.
    #[inline(always)]
    fn upsample(&mut self, y: usize) {
        let mut row = std::mem::take(&mut self.row);
        let (near, far) = self.upsampling.rows(y, self.height);
        self.upsampling
            .run(self.row(near), self.row(far), y, &mut row);
        self.row = row;
    }

    /// The picture's row `y`, after [`Plane::upsample`].
    fn upsampled(&self, y: usize, width: usize) -> &[u8] {
        if self.upsampling == Upsampling::None {
            &self.row(y)[..width]
        } else {
            &self.row[..width]
        }
    }
}

/// Takes blocks and gives the picture.
pub(super) struct Output {
    planes: Vec<Plane>,
    space: Space,
    width: usize,
    height: usize,
    mcus_high: usize,
    /// Rows of pixels in a row of units.
    unit_height: usize,
    /// Rows of pixels at the end of a row of units that need samples of the next one.
    held_back: usize,
    pixels: Vec<u8>,
    /// Rows of pixels made.
    made: usize,
}

impl Output {
    /// An upper bound of the memory that it takes.
    pub(super) fn memory(picture: &Picture, space: Space) -> u64 {
        let pixels = picture.width * picture.height * space.bytes();
        let planes = picture.components.iter().map(|c| {
            let row = 8 * c.stored_wide;
            16 * c.v * row + picture.max_h * row
        });
        (pixels + planes.sum::<usize>()) as u64
    }

    pub(super) fn new(picture: &Picture, quantisation: Vec<Block>, space: Space) -> Self {
        let plane = |(c, quantisation): (&super::header::Component, Block)| {
            let stride = 8 * c.stored_wide;
            let rows = 16 * c.v;
            let upsampling = Upsampling::of(picture.max_h / c.h, picture.max_v / c.v, c.width);
            Plane {
                samples: vec![0; stride * rows],
                stride,
                rows,
                width: c.width,
                height: c.height,
                v: c.v,
                blocks_wide: c.blocks_wide,
                blocks_high: c.blocks_high,
                stored_wide: c.stored_wide,
                quantisation,
                upsampling,
                row: vec![0; upsampling.row_length(c.width)],
            }
        };
        let components = picture.components.iter().zip(quantisation);
        let planes: Vec<Plane> = components.map(plane).collect();
        let looks_below = planes.iter().any(|p| p.upsampling.looks_below());
        Output {
            planes,
            space,
            width: picture.width,
            height: picture.height,
            mcus_high: picture.mcus_high,
            unit_height: 8 * picture.max_v,
            held_back: if looks_below { picture.max_v } else { 0 },
            pixels: vec![0; picture.width * picture.height * space.bytes()],
            made: 0,
        }
    }

    /// Makes the samples of a block of component `number`, at column and row of blocks `place`.
    /// `last` is the place in coded order of its last coefficient that is not zero, or a later one.
    #[inline(always)]
    pub(super) fn put_block(
        &mut self,
        number: usize,
        (x, y): (usize, usize),
        block: &Block,
        last: usize,
    ) {
        let plane = &mut self.planes[number];
        let start = 8 * y % plane.rows * plane.stride + 8 * x;
        let out = &mut plane.samples[start..][..7 * plane.stride + 8];
        if last == 0 {
            idct_flat(block[0], plane.quantisation[0], out, plane.stride);
        } else {
            idct(block, &plane.quantisation, out, plane.stride);
        }
    }

    /// Makes the samples of component `number` in a row of units from all of its `blocks`.
    pub(super) fn put_row_of_blocks(&mut self, row: usize, number: usize, blocks: &[Block]) {
        let plane = &self.planes[number];
        let (wide, stored_wide) = (plane.blocks_wide, plane.stored_wide);
        let end = (plane.v * (row + 1)).min(plane.blocks_high);
        for y in plane.v * row..end {
            for (x, block) in blocks[y * stored_wide..][..wide].iter().enumerate() {
                let any = block[1..].iter().fold(0, |any, value| any | value);
                self.put_block(number, (x, y), block, usize::from(any != 0));
            }
        }
    }

    /// Makes pixels of what is complete after a row of units.
    pub(super) fn finish_row(&mut self, row: usize) {
        let end = if row + 1 == self.mcus_high {
            self.height
        } else {
            (row + 1) * self.unit_height - self.held_back
        };
        widest(
            #[inline(always)]
            || {
                for y in self.made..end {
                    self.make(y);
                }
            },
        );
        self.made = end;
    }

    /// Makes a row of pixels.
    #[inline(always)]
    fn make(&mut self, y: usize) {
        let width = self.width;
        for plane in &mut self.planes {
            if plane.upsampling != Upsampling::None {
                plane.upsample(y);
            }
        }
        let length = width * self.space.bytes();
        let out = &mut self.pixels[y * length..][..length];
        let row = |number: usize| self.planes[number].upsampled(y, width);
        match self.space {
            Space::Grey => out.copy_from_slice(row(0)),
            Space::YCbCr => {
                let rows = [row(0), row(1), row(2)];
                let done = quick_rgb(rows, out);
                to_rgb(self.space, rows, &[], out, done);
            }
            Space::Rgb => to_rgb(self.space, [row(0), row(1), row(2)], &[], out, 0),
            Space::Cmyk | Space::Ycck => {
                to_rgb(self.space, [row(0), row(1), row(2)], row(3), out, 0);
            }
        }
    }

    /// The picture.
    pub(super) fn into_image(self) -> Result<DynamicImage> {
        let (width, height) = (self.width as u32, self.height as u32);
        let image = if self.space == Space::Grey {
            GrayImage::from_raw(width, height, self.pixels).map(DynamicImage::ImageLuma8)
        } else {
            RgbImage::from_raw(width, height, self.pixels).map(DynamicImage::ImageRgb8)
        };
        image.ok_or_else(|| Error::from(Damage::Header))
    }
}

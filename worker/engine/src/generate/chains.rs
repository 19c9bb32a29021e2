//! Greedy decoding and sampling: each sequence is one hypothesis that is extended by the likeliest
//! token, or by one drawn by its probability, and never revised.

use super::probabilities::softmax;
use super::processors::Hypothesis;
use super::search::{Extended, Prompt, Search};
use super::settings::Settings;
use crate::random::Random;

/// The sequences of one prompt.
pub(super) struct Chains<'s> {
    settings: &'s Settings,
    prompt: usize,
    max_length: usize,
    /// One chain per requested sequence.
    all: Vec<Chain>,
}

/// One sequence.
struct Chain {
    /// The prompt and the tokens generated so far.
    tokens: Vec<u32>,
    /// Source of randomness for sampling; `None` for greedy decoding.
    random: Option<Random>,
    /// Which row of the step's scores belongs to this chain; `None` once it has ended.
    row: Option<usize>,
}

impl<'s> Chains<'s> {
    /// Starts the sequences for a prompt. Prompt and continuation together have at most
    /// `max_length` tokens.
    pub(super) fn new(prompt: &'s Prompt, settings: &'s Settings, max_length: usize) -> Self {
        let (job_seed, example_id) = prompt.seed;
        let chain = |index: usize| Chain {
            tokens: prompt.ids.clone(),
            random: settings
                .do_sample
                .then(|| Random::new(job_seed, example_id, &format!("generate {index}"))),
            // In the first step, all chains share the scores of the prompt.
            row: Some(0),
        };
        Self {
            settings,
            prompt: prompt.ids.len(),
            max_length,
            all: (0..settings.num_sequences).map(chain).collect(),
        }
    }
}

impl Search for Chains<'_> {
    fn advance(&mut self, scores: Vec<Vec<f64>>) -> Vec<Extended> {
        let mut running = Vec::new();
        for chain in &mut self.all {
            let Some(parent) = chain.row.take() else {
                continue;
            };
            let mut scores = scores[parent].clone();
            let hypothesis = Hypothesis {
                tokens: &chain.tokens,
                prompt: self.prompt,
                max_length: self.max_length,
            };
            for processor in &self.settings.processors {
                processor.process(&hypothesis, &mut scores);
            }
            let token = match &mut chain.random {
                None => likeliest(&scores),
                Some(random) => draw(&softmax(&scores), random),
            };
            chain.tokens.push(token);
            if chain.tokens.len() < self.max_length && !self.settings.end.contains(&token) {
                chain.row = Some(running.len());
                running.push(Extended { parent, token });
            }
        }
        running
    }

    fn sequences(self: Box<Self>) -> Vec<Vec<u32>> {
        let new = |chain: Chain| chain.tokens[self.prompt..].to_vec();
        self.all.into_iter().map(new).collect()
    }
}

/// Returns the likeliest token; on a tie, the one with the smallest id.
fn likeliest(scores: &[f64]) -> u32 {
    let mut best = 0;
    for (id, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = id;
        }
    }
    best as u32
}

/// Draws a token by its probability.
fn draw(probabilities: &[f64], random: &mut Random) -> u32 {
    let mut left = random.uniform() * probabilities.iter().sum::<f64>();
    // Rounding may leave a little of `left` after the last token. Then the last possible token is
    // drawn.
    let mut last_possible = 0;
    for (id, &probability) in probabilities.iter().enumerate() {
        if probability > 0.0 {
            last_possible = id;
            left -= probability;
            if left < 0.0 {
                break;
            }
        }
    }
    last_possible as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equally_likely_tokens_is_taken() {
        assert_eq!(likeliest(&[f64::NEG_INFINITY, 1.0, 3.0, 3.0]), 2);
    }

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_likely() {
        const DRAWS: usize = 20_000;
        let mut random = Random::new(1, 2, "draws");
        let mut counts = [0; 4];
        for _ in 0..DRAWS {
            counts[draw(&[0.5, 0.0, 0.125, 0.375], &mut random) as usize] += 1;
        }
        let share = |count: i32| f64::from(count) / DRAWS as f64;
        assert_eq!(counts[1], 0);
        for (index, expected) in [(0, 0.5), (2, 0.125), (3, 0.375)] {
            assert!(
                (share(counts[index]) - expected).abs() < 0.015,
                "{counts:?}"
            );
        }
    }
}

//! How much memory each process had resident over the run.

use std::collections::BTreeMap;
use std::fs;

/// In MiB, one number for each look at a process.
#[derive(Debug, Default)]
pub(crate) struct Memory(BTreeMap<String, Vec<u64>>);

impl Memory {
    /// Looks at these processes.
    pub(crate) fn sample(&mut self, processes: impl Iterator<Item = (String, Option<u32>)>) {
        for (name, pid) in processes {
            if let Some(resident) = pid.and_then(resident) {
                self.0.entry(name).or_default().push(resident);
            }
        }
    }

    /// Rows of a table: the process, at the start, in the middle, at the end, the most of either half.
    pub(crate) fn rows(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(name, samples)| {
            let (first, second) = samples.split_at(samples.len() / 2);
            let most = |samples: &[u64]| samples.iter().max().copied().unwrap_or_default();
            let (start, middle, end) = (samples.first()?, second.first()?, samples.last()?);
            Some(format!("| {name} | {start} | {middle} | {end} | {} | {} |", most(first), most(second)))
        })
    }
}

fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_compared() {
        let memory = Memory([("gateway".to_owned(), vec![1, 9, 3, 4])].into());
        assert_eq!(memory.rows().collect::<Vec<_>>(), ["| gateway | 1 | 3 | 4 | 9 | 4 |"]);
    }
}

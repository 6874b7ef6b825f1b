//! Work in parallel on what one thread produces in sequence.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::error::Result;

/// Takes items off `next` in groups of `size` and works on the items of a group in parallel while the next group is
/// produced; at most two groups are held. `next` runs on threads of the pool, one call at a time.
///
/// # Errors
/// The first error in the order of the items; an error of `next` comes after all the items before it.
pub(super) fn work_ahead<T: Send>(
    size: usize,
    mut next: impl FnMut() -> Result<Option<T>> + Send,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let mut fetch = || {
        let mut items = Vec::with_capacity(size.max(1));
        while items.len() < size.max(1) {
            match next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return (items, Some(Ok(()))),
                Err(error) => return (items, Some(Err(error))),
            }
        }
        (items, None)
    };
    let work_on = |items: Vec<T>| -> Result<()> {
        // Collected in order, so that the first error does not depend on the threads.
        let results: Vec<Result<()>> = items.into_par_iter().map(&work).collect();
        results.into_iter().collect()
    };
    let (mut items, mut end) = fetch();
    loop {
        if let Some(end) = end {
            work_on(items)?;
            return end;
        }
        let (done, following) = rayon::join(|| work_on(items), &mut fetch);
        done?;
        (items, end) = following;
    }
}

//! Pools of a cluster that runs: whether their workers are ready.

use std::collections::BTreeMap;

use snakepit_client::{Client, Pool};

use super::check::Checks;

pub(super) async fn check(checks: &mut Checks, client: &Client) {
    let told = match client.list_pools_of_members().await {
        Ok(told) => told,
        Err(error) => {
            let remedy = "see that the nodes are of this release";
            return checks.warn("pools", error.to_string(), remedy);
        }
    };
    let mut pools: BTreeMap<String, Vec<Pool>> = BTreeMap::new();
    for (member, found) in told {
        match found {
            Ok(found) => {
                for pool in found.into_iter().filter(|pool| pool.placed) {
                    pools.entry(pool.name.clone()).or_default().push(pool);
                }
            }
            Err(error) => {
                let found = format!("node {}: {error}", member.node_id);
                checks.warn(
                    "pools",
                    found,
                    "see that the node is up, and of this release",
                );
            }
        }
    }
    if pools.is_empty() {
        let remedy = "add one with `snakepit pool add`, if tools are to be called";
        return checks.warn("pools", "no node runs a pool", remedy);
    }
    for (name, shares) in &pools {
        pool(checks, name, shares);
    }
}

fn pool(checks: &mut Checks, name: &str, shares: &[Pool]) {
    let check = format!("pool {name}");
    let sum = |of: fn(&Pool) -> u32| shares.iter().map(of).sum::<u32>();
    let (ready, desired) = (sum(|pool| pool.ready), sum(|pool| pool.desired));
    let problems = shares.iter().filter(|pool| !pool.problem.is_empty());
    let problems = problems.map(|pool| format!("node {}: {}", pool.node_id, pool.problem));
    let circuits = shares.iter().flat_map(|pool| {
        let open = pool.circuits.iter();
        open.map(|c| {
            format!(
                "node {}: the circuit of {} is {}",
                pool.node_id, c.tool, c.state
            )
        })
    });
    let problems: Vec<_> = problems.chain(circuits).collect();
    let mut found = format!("{ready} of {desired} workers are ready");
    if !problems.is_empty() {
        found += &format!("; {}", problems.join("; "));
    }
    let remedy = format!("look with `snakepit pool show {name}` and `snakepit worker ls --wide`");
    if ready == 0 && desired > 0 {
        checks.fail(&check, found, remedy);
    } else if ready < desired || !problems.is_empty() {
        checks.warn(&check, found, remedy);
    } else {
        checks.ok(&check, found);
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn a_pool_is_judged_by_its_workers_and_problems() {
        let share = |ready, problem: &str| Pool {
            desired: 2,
            ready,
            node_id: 1,
            problem: problem.into(),
            ..Default::default()
        };
        let mut checks = Checks::new("cluster");
        pool(&mut checks, "a", &[share(2, ""), share(2, "")]);
        pool(&mut checks, "a", &[share(2, ""), share(1, "")]);
        pool(&mut checks, "a", &[share(2, "no module named x")]);
        pool(&mut checks, "a", &[share(0, "")]);
        let made = checks.into_made();
        let verdicts: Vec<_> = made.iter().map(|c| c.verdict).collect();
        use Verdict::{Fail, Ok, Warn};
        assert_eq!(verdicts, [Ok, Warn, Warn, Fail]);
        assert!(made[2].found.ends_with("node 1: no module named x"));
    }
}

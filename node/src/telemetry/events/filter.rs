//! Which events one stream gets, as its `TelemetryControl`s say.

use snakepit_proto::bridge::telemetry_control::Control;
use snakepit_proto::bridge::{TelemetryControl, TelemetryEvent};

/// Patterns that one control may have, and that a filter keeps of each kind.
const PATTERNS_MAX: usize = 256;
/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 256;

/// Lets events through, or not. A new one lets all through.
#[derive(Clone, Debug)]
pub struct Filter {
    enabled: bool,
    allow: Vec<String>,
    deny: Vec<String>,
    /// Of events that no pattern in `rates` names.
    rate: f64,
    rates: Vec<(String, f64)>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            enabled: true,
            allow: Vec::new(),
            deny: Vec::new(),
            rate: 1.0,
            rates: Vec::new(),
        }
    }
}

impl Filter {
    /// Obey a control: a toggle, a rate of samples for all events or for those that patterns name, or which
    /// events are allowed (none named: all) and denied, in place of those before.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to do; the filter stays as it was.
    pub fn obey(&mut self, control: TelemetryControl) -> Result<(), String> {
        match control.control {
            None => {}
            Some(Control::Toggle(toggle)) => self.enabled = toggle.enabled,
            Some(Control::Filter(filter)) => {
                check(&filter.allow)?;
                check(&filter.deny)?;
                self.allow = filter.allow;
                self.deny = filter.deny;
            }
            Some(Control::Sampling(sampling)) => {
                self.sample(sampling.sampling_rate, sampling.event_patterns)?;
            }
        }
        Ok(())
    }

    fn sample(&mut self, rate: f64, patterns: Vec<String>) -> Result<(), String> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(format!(
                "sampling_rate is {rate}; hint: give a number from 0 to 1"
            ));
        }
        check(&patterns)?;
        if patterns.is_empty() {
            self.rate = rate;
            self.rates.clear();
            return Ok(());
        }
        let mut rates = self.rates.clone();
        rates.retain(|(pattern, _)| !patterns.contains(pattern));
        rates.extend(patterns.into_iter().map(|pattern| (pattern, rate)));
        if rates.len() > PATTERNS_MAX {
            return Err(too_many(rates.len()));
        }
        self.rates = rates;
        Ok(())
    }

    /// Whether an event goes through; those with a rate are drawn by lot.
    pub fn takes(&self, event: &TelemetryEvent) -> bool {
        if !self.enabled {
            return false;
        }
        let name = event.event_parts.join(".");
        let rate = self.rate_of(&name);
        rate >= 1.0 || (rate > 0.0 && rand::random::<f64>() < rate)
    }

    /// The part of events of a name that goes through.
    fn rate_of(&self, name: &str) -> f64 {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
        if named(&self.deny) || !(self.allow.is_empty() || named(&self.allow)) {
            return 0.0;
        }
        let own = self.rates.iter().rev();
        let mut own = own.filter(|(pattern, _)| matches(pattern, name));
        own.next().map_or(self.rate, |(_, rate)| *rate)
    }
}

fn check(patterns: &[String]) -> Result<(), String> {
    if patterns.len() > PATTERNS_MAX {
        return Err(too_many(patterns.len()));
    }
    match patterns
        .iter()
        .find(|pattern| pattern.len() > PATTERN_BYTES_MAX)
    {
        Some(long) => Err(format!(
            "a pattern has {} bytes, the limit is {PATTERN_BYTES_MAX}; hint: shorten it",
            long.len()
        )),
        None => Ok(()),
    }
}

fn too_many(count: usize) -> String {
    format!(
        "{count} patterns are given, the limit is {PATTERNS_MAX}; hint: use * for a group of events"
    )
}

/// Whether a name matches a pattern, in which `*` stands for anything and `?` for one character. Both may
/// begin with `snakepit.`, as Snakepit's own events do.
fn matches(pattern: &str, name: &str) -> bool {
    let bare = |text| str::strip_prefix(text, "snakepit.").unwrap_or(text);
    let (pattern, name) = (bare(pattern), bare(name));
    glob(pattern.as_bytes(), name.as_bytes())
}

/// Each star takes as little as it can; on a mismatch the last one takes a byte more.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, seen));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((after_star, taken)) = retry else {
                    return false;
                };
                retry = Some((after_star, taken + 1));
                (at, seen) = (after_star, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use snakepit_proto::bridge::{TelemetryEventFilter, TelemetrySamplingUpdate, TelemetryToggle};

    fn control(control: Control) -> TelemetryControl {
        TelemetryControl {
            control: Some(control),
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn sampling(rate: f64, patterns: &[&str]) -> TelemetryControl {
        control(Control::Sampling(TelemetrySamplingUpdate {
            sampling_rate: rate,
            event_patterns: texts(patterns),
        }))
    }

    fn filter(allow: &[&str], deny: &[&str]) -> TelemetryControl {
        control(Control::Filter(TelemetryEventFilter {
            allow: texts(allow),
            deny: texts(deny),
        }))
    }

    #[test]
    fn globs_match_as_they_should() {
        for (pattern, name) in [
            ("*", "a.b"),
            ("*", ""),
            ("pool.*", "pool.queue.timeout"),
            ("*.timeout", "pool.queue.timeout"),
            ("p*q*t", "pool.queue.timeout"),
            ("snakepit.pool.*", "pool.initialized"),
            ("pool.?nitialized", "snakepit.pool.initialized"),
            ("a**", "a"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("pool", "pool.initialized"),
            ("pool.*", "worker.crash"),
            ("*.timeout", "pool.timeout.b"),
            ("?", ""),
            ("a*b*c", "a.b"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        // Many stars take no more than a moment.
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
    }

    #[test]
    fn a_new_filter_lets_all_through_until_it_is_off() {
        let mut filter = Filter::default();
        let event = TelemetryEvent {
            event_parts: texts(&["worker", "crash"]),
            ..TelemetryEvent::default()
        };
        assert!(filter.takes(&event));
        filter
            .obey(control(Control::Toggle(TelemetryToggle { enabled: false })))
            .unwrap();
        assert!(!filter.takes(&event));
        filter
            .obey(control(Control::Toggle(TelemetryToggle { enabled: true })))
            .unwrap();
        filter.obey(TelemetryControl::default()).unwrap();
        assert!(filter.takes(&event));
    }

    #[test]
    fn what_is_denied_wins() {
        let mut found = Filter::default();
        found.obey(filter(&["pool.*"], &["pool.queue.*"])).unwrap();
        assert_eq!(found.rate_of("pool.initialized"), 1.0);
        assert_eq!(found.rate_of("pool.queue.timeout"), 0.0);
        assert_eq!(found.rate_of("worker.crash"), 0.0);
        found.obey(filter(&[], &[])).unwrap();
        assert_eq!(found.rate_of("worker.crash"), 1.0);
    }

    #[test]
    fn the_last_rate_that_names_an_event_holds() {
        let mut found = Filter::default();
        found.obey(sampling(0.5, &[])).unwrap();
        found.obey(sampling(1.0, &["worker.*"])).unwrap();
        found.obey(sampling(0.0, &["worker.crash"])).unwrap();
        assert_eq!(found.rate_of("pool.initialized"), 0.5);
        assert_eq!(found.rate_of("worker.ready"), 1.0);
        assert_eq!(found.rate_of("worker.crash"), 0.0);
        found.obey(sampling(0.25, &["worker.*"])).unwrap();
        assert_eq!(found.rate_of("worker.crash"), 0.25);
        found.obey(sampling(1.0, &[])).unwrap();
        assert_eq!(found.rate_of("worker.crash"), 1.0);
        let event = TelemetryEvent::default();
        found.obey(sampling(0.5, &[])).unwrap();
        let taken = (0..1_000).filter(|_| found.takes(&event)).count();
        assert!((300..700).contains(&taken), "{taken}");
    }

    #[test]
    fn controls_have_limits() {
        let mut found = Filter::default();
        for bad in [
            sampling(-0.1, &[]),
            sampling(f64::NAN, &[]),
            sampling(1.0, &["p".repeat(257).as_str()]),
            filter(&["a"; 257], &[]),
        ] {
            assert!(found.obey(bad).unwrap_err().contains("; hint: "));
        }
        for at in 0..256 {
            found.obey(sampling(0.5, &[&at.to_string()])).unwrap();
        }
        assert!(found.obey(sampling(0.5, &["one more"])).is_err());
        found.obey(sampling(0.1, &["7"])).unwrap();
    }
}

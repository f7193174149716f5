#![allow(missing_docs)]
use crate::*;
use std::hash::*;
fn h(x: &impl Hash) -> u64 { memo::number(x) }
impl State {
    pub fn features(&self, f: &mut dyn FnMut(&str, u64)) {
        f("grant", h(&self.grant)); f("grant.now", h(&self.grant.now)); f("record.now", h(&self.record.now)); f("record", h(&self.record)); f("secret", h(&self.secret));f("secret.now", h(&self.secret.now));
        f("decisions", h(&self.decisions)); f("shares", h(&self.shares)); f("leader.work", h(&self.leader.work)); f("other.work", h(&self.other.work));
        f("leader.next", h(&self.leader.work.as_ref().map(|w| w.next.clone()))); f("memory", h(&self.leader.memory)); f("left", h(&self.left));
        f("record+shares", h(&(&self.record.now, &self.shares)));
        f("record+decisions", h(&(&self.record.now, &self.decisions)));
        f("record+decisions+grant", h(&(&self.record.now, &self.decisions, &self.grant.now)));
        f("objects", h(&(&self.record.now, &self.decisions, &self.grant.now, &self.secret.now, &self.shares)));
        f("objects+time", h(&(&self.record.now, &self.decisions, &self.grant.now, &self.secret.now, &self.shares, self.time)));
        f("objects+time+left", h(&(&self.record.now, &self.decisions, &self.grant.now, &self.secret.now, &self.shares, self.time, self.left)));
        f("objects+leader", h(&(&self.record.now, &self.decisions, &self.grant.now, &self.secret.now, &self.shares, self.time, &self.leader)));
        f("objects+leader+other", h(&(&self.record.now, &self.decisions, &self.grant.now, &self.secret.now, &self.shares, self.time, &self.leader, &self.other)));
    }
    pub fn categories(&self, f: &mut dyn FnMut(String)) {
        let w = |r: &state::Replica| r.work.as_ref().map_or("-".to_string(), |w| format!("{}{}", w.next.name(), if w.is_current {""} else {"(old)"}));
        f(format!("leader {}", w(&self.leader)));
        f(format!("other {}", w(&self.other)));
        f(format!("time {}", self.time));
        f(format!("over {} secret {}", self.is_over(), self.secret.now.is_some()));
        f(format!("over {} leader {} other {}", self.is_over(), w(&self.leader), w(&self.other)));
        f(format!("decisions {}", self.decisions.len()));
        f(format!("grant {}", self.grant.now.is_some()));
        f(format!("shares {}", self.shares.len()));
        f(format!("left {}", self.left));
    }
}
impl Loan {
    pub fn memo_sizes(&self) -> [usize; 5] { let m = &self.memos; [m.decided.len(), m.next.len(), m.grants.len(), m.records.len(), m.ends.len()] }
}

"""`lockkeep drill`: emergencies rehearsed on a sandbox, with evidence. Never the company's own data, rules or servers."""

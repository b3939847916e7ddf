-- name: card_opened  (the first time counts)
INSERT INTO cards_opened (approval, person, at) VALUES (:approval, :person, :at) ON CONFLICT (approval, person) DO NOTHING;

-- name: fatigue_asks
SELECT approvals.id, approvals.state, approvals.demands, approvals.requester, approvals.at, approvals.decided_at,
       calls.state AS call_state, calls.tool, calls.risk, calls.amount_minor, calls.currency
  FROM approvals JOIN calls ON calls.id = approvals.call WHERE approvals.at >= :since ORDER BY approvals.at, approvals.rowid;

-- name: fatigue_votes
SELECT votes.approval, votes.person, votes.decision, votes.at, cards_opened.at AS opened
  FROM votes JOIN approvals ON approvals.id = votes.approval
  LEFT JOIN cards_opened ON cards_opened.approval = votes.approval AND cards_opened.person = votes.person
 WHERE approvals.at >= :since ORDER BY votes.at;

-- Accounts for the benchmark: one customer, one plan, consecutive numbers from 100000, the password "secret".
WITH customer AS (
  INSERT INTO customers (name) VALUES ('Benchmark') RETURNING id
), plan AS (
  INSERT INTO billing_plans (name) VALUES ('Benchmark') RETURNING id
), sheet AS (
  INSERT INTO rate_sheets (tariff_count) VALUES (0) RETURNING id
), version AS (
  INSERT INTO plan_versions (plan_id, version, rate_sheet_id, monthly_fee, base_price)
  SELECT plan.id, 1, sheet.id, 5, '{"standing_charge": "0.36", "per_minute": "0.09", "initial_increment_s": 60, "next_increment_s": 60,
                     "counting": "started",
                     "windows": [{"weekday": null, "from": "22:00", "to": "06:00", "per_minute": "0.05"}]}'
  FROM plan, sheet RETURNING id
), account AS (
  INSERT INTO phone_accounts (number, customer_id, display_name, realm, ha1_md5, ha1_sha256, billing_day, opened_at,
                              period_start, period_end)
  SELECT n, customer.id, 'Phone ' || n, 'bench.local', md5(n || ':bench.local:secret'),
         encode(sha256((n || ':bench.local:secret')::bytea), 'hex'), 1, date_trunc('month', now()),
         date_trunc('month', now()), date_trunc('month', now()) + interval '1 month'
  FROM customer, (SELECT g::text AS n FROM generate_series(100000, 99999 + %(accounts)s) g) numbers
  RETURNING id, opened_at
), history AS (
  INSERT INTO account_state_history (account_id, state, valid_from) SELECT id, 'active', opened_at FROM account
)
INSERT INTO account_plan_history (account_id, plan_version_id, valid_from)
SELECT account.id, version.id, account.opened_at FROM account, version;

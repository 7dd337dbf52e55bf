-- Random inputs, so that every request is different; prints one JSON line at the end.
-- Environment: MILLRACE_BENCH_KEY, MILLRACE_BENCH_WIDTH (numbers an instance), MILLRACE_BENCH_REPEAT=1 (one fixed body),
-- MILLRACE_BENCH_UNCACHED=1 (the cache is left out).
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["x-api-key"] = os.getenv("MILLRACE_BENCH_KEY")

local width = tonumber(os.getenv("MILLRACE_BENCH_WIDTH") or "5")
local parameters = os.getenv("MILLRACE_BENCH_UNCACHED") == "1" and '{"return_probability":true,"cache":false}' or '{"return_probability":true}'
local bodies = {}
local next_body = 0
local seeded = 0

local function instance()
  local numbers = {}
  for i = 1, width do numbers[i] = string.format("%.4f", math.random() * 9) end
  return '{"inputs":[' .. table.concat(numbers, ",") .. '],"parameters":' .. parameters .. '}'
end

function setup(thread)
  thread:set("seed", os.time() + seeded)
  seeded = seeded + 1
end

function init()
  math.randomseed(seed)
  -- Wide instances are made once: making them would cost the load tool more than the server.
  if width > 16 then for i = 1, 256 do bodies[i] = wrk.format(nil, nil, nil, instance()) end end
  if os.getenv("MILLRACE_BENCH_REPEAT") == "1" then bodies = { wrk.format(nil, nil, nil, instance()) } end
end

function request()
  if #bodies == 0 then return wrk.format(nil, nil, nil, instance()) end
  next_body = next_body % #bodies + 1
  return bodies[next_body]
end

function done(summary, latency)
  io.write(string.format(
    '{"requests":%d,"seconds":%f,"failed":%d,"p50Ms":%f,"p99Ms":%f,"p999Ms":%f}\n',
    summary.requests, summary.duration / 1e6,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end

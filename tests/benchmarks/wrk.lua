-- What wrk sends, and how it tells what came of it.
-- Without arguments it reads the page. With a file and a prefix it posts the file's messages in turn, one a line: signature, tab, body.

local messages, prefix, count = {}, "", 0

function init(args)
  if not args[1] then
    return
  end
  prefix = args[2]
  for line in io.lines(args[1]) do
    local signature, body = line:match("^([^\t]*)\t(.*)$")
    table.insert(messages, { signature = signature, body = body })
  end
end

function request()
  if #messages == 0 then
    return wrk.format("GET")
  end
  local message = messages[count % #messages + 1]
  count = count + 1
  return wrk.format("POST", nil, {
    ["Host"] = wrk.headers["Host"],
    ["Content-Type"] = "application/json",
    ["X-Shopify-Topic"] = "orders/create",
    ["X-Shopify-Shop-Domain"] = "benchmark.myshopify.com",
    ["X-Shopify-Hmac-Sha256"] = message.signature,
    ["X-Shopify-Webhook-Id"] = prefix .. count,
  }, message.body)
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    'measured: {"answered": %d, "failed": %d, "seconds": %.3f, "p50": %.3f, "p95": %.3f, "p99": %.3f, "longest": %.3f}\n',
    summary.requests - errors.status, failed, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end

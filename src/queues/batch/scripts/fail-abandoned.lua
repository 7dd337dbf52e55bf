-- ARGV: 1 failure of an upload that broke off, 2 of a batch that stood still, both as JSON, 3 how many. Returns ids.
local failed = {}
for _, member in ipairs(call('ZRANGE', root .. ':leases', '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[3])) do
  local id, pool, owner = string.match(member, '^([^:]+):([^:]+):(.*)$')
  local batch = find(id)
  if batch and not isFinal[batch.status] then
    finish(batch, 'failed', batch.sealed and ARGV[2] or ARGV[1])
    changed(batch)
    table.insert(failed, id)
  else
    closeLease(id, pool, owner)
    -- Its keys have expired: nobody swept for days.
    if not batch then forget(id, owner) end
  end
end
return failed

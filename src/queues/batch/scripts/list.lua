-- ARGV: 1 owner, or '' for all of them, 2 id to begin after, or '', 3 how many. Returns `next` ('' at the end) and records.
local list = ARGV[1] == '' and root .. ':list' or root .. ':list:' .. ARGV[1]
local limit = tonumber(ARGV[3])
local ids = call('ZREVRANGEBYLEX', list, ARGV[2] == '' and '+' or '(' .. ARGV[2], '-', 'LIMIT', 0, limit + 1)
local more = #ids > limit
if more then table.remove(ids) end
local records = {}
for _, id in ipairs(ids) do
  local batch = find(id)
  -- What has expired is forgotten soon.
  if batch then table.insert(records, call('HGETALL', batch.key)) end
end
return { more and ids[#ids] or '', records }

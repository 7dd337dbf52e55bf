-- ARGV: 1 id. Returns `kept`, `final` or `gone`. Changes nothing that anybody sees.
local batch = find(ARGV[1])
if not batch then return 'gone' end
if isFinal[batch.status] then return 'final' end
renewLease(batch)
return 'kept'

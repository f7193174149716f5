local hs = { status = "Progressing", message = "Waiting for Keyloan to process the flow" }
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions["Ready"]
if ready == nil then
  return hs
end
hs.message = ready.message
local stalled = conditions["Stalled"]
if stalled ~= nil and stalled.status == "True" then
  hs.status = "Degraded"
  hs.message = stalled.message
elseif ready.status == "True" then
  hs.status = "Healthy"
  -- A rule that matches nothing, while other rules do.
  local matches = conditions["MatchesItems"]
  if matches ~= nil and matches.status == "False" then
    hs.message = matches.message
  end
elseif ready.reason == "Suspended" then
  hs.status = "Suspended"
end
return hs

local hs = { status = "Progressing", message = "Waiting for Keyloan to process the integration" }
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
  -- A token that is about to expire.
  local credentials = conditions["CredentialsValid"]
  if credentials ~= nil and credentials.reason ~= "TokenAccepted" then
    hs.message = credentials.message
  end
elseif ready.reason == "Suspended" then
  hs.status = "Suspended"
elseif ready.reason == "BoundaryNotInForce" or ready.reason == "OnePasswordBroken" then
  hs.status = "Degraded"
end
return hs

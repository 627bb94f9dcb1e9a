-- Interference in DSA-110 visibilities, for AOFlagger 3.1 and later.
--
-- A baseline comes as 64 to 768 channels x 6 to 24 integrations, uncalibrated. What is astronomical
-- varies slowly along both axes; what stands out of a smooth fit to the amplitudes, alone or with
-- its neighbours in time or frequency, is flagged. Fit and thresholds are iterated from insensitive
-- to sensitive, so that strong interference does not spoil the fit under the weak.
-- tests/validation/rfi.py measures what is detected.

local threshold = 0.75       -- of the last iteration; 1 is AOFlagger's default sensitivity
local factors = { 4, 2 }  -- of the thresholds of the iterations before it
local fit_times, fit_channels = 21, 31
local fit_sigma_times, fit_sigma_channels = 4.0, 6.0

-- Returns what stands out of a smooth fit to `amplitude`, which leaves out what `known` has flagged.
local function residual_of(amplitude, known, before)
  local fit = amplitude:copy()
  fit:set_mask(known)
  aoflagger.low_pass_filter(fit, fit_times, fit_channels, fit_sigma_times, fit_sigma_channels)
  local residual = amplitude - fit
  residual:set_mask(before)
  return residual
end

-- Flags a polarization's outliers; `before` has the flags that were there already.
local function detect(amplitude, before)
  local residual = residual_of(amplitude, before, before)
  for _, factor in ipairs(factors) do
    local level = threshold * factor
    aoflagger.sumthreshold_masked(residual, before, level, level, true, true)
    residual = residual_of(amplitude, residual, before)
  end
  aoflagger.sumthreshold_masked(residual, before, threshold, threshold, true, true)
  return residual
end

function execute(data)
  local before = data:copy()
  local polarizations = data:get_polarizations()
  local found = {}
  for i, polarization in ipairs(polarizations) do
    local visibilities = data:convert_to_polarization(polarization)
    local flagged = before:convert_to_polarization(polarization)
    found[i] = detect(visibilities:convert_to_complex("amplitude"), flagged)
    aoflagger.scale_invariant_rank_operator_masked(found[i], flagged, 0.2, 0.2)
  end
  -- What one polarization shows is in the others too.
  for i = 2, #found do
    found[1]:join_mask(found[i])
  end
  for _, polarization in ipairs(polarizations) do
    local visibilities = data:convert_to_polarization(polarization)
    visibilities:join_mask(found[1])
    data:set_polarization_data(polarization, visibilities)
  end
  data:join_mask(before)
end

//! What providers answer, in the shapes and with the statuses that they use and in words of our own: no capture.

use tiergate::upstream::meaning::Meaning;

/// An error answer and what it means.
pub struct Case {
    pub meaning: Meaning,
    pub status: u16,
    pub body: &'static str,
}

const fn case(meaning: Meaning, status: u16, body: &'static str) -> Case {
    Case { meaning, status, body }
}

/// Errors whose words say what they mean, wherever they stand.
pub const CASES: &[Case] = &[
    // Account.
    case(
        Meaning::Account,
        429,
        r#"{"error":{"message":"All of this month is used up.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
    ),
    case(
        Meaning::Account,
        400,
        r#"{"error":{"message":"The hard limit was hit","type":"invalid_request_error","param":null,"code":"billing_hard_limit_reached"}}"#,
    ),
    case(
        Meaning::Account,
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low for this API. Go to billing to buy some."}}"#,
    ),
    case(
        Meaning::Account,
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. Access comes back on 2026-12-01."}}"#,
    ),
    case(
        Meaning::Account,
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}"#,
    ),
    case(
        Meaning::Account,
        429,
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"The workspace has hit its monthly spend limit."}}"#,
    ),
    case(
        Meaning::Account,
        402,
        r#"{"type":"error","error":{"type":"billing_error","message":"Something about cards."}}"#,
    ),
    case(
        Meaning::Account,
        403,
        r#"[{"error":{"code":403,"message":"This API needs a paid project.","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"BILLING_DISABLED"}]}}]"#,
    ),
    case(
        Meaning::Account,
        429,
        r#"[{"error":{"code":429,"message":"Your prepayment credits are depleted.","status":"RESOURCE_EXHAUSTED"}}]"#,
    ),
    case(
        Meaning::Account,
        403,
        r#"{"code":"The caller does not have permission","error":"The team has used all available credits or reached its monthly spending limit."}"#,
    ),
    case(
        Meaning::Account,
        400,
        r#"{"error":{"message":"API access is off until more is paid.","type":"invalid_request_error","code":"blocked_api_access"}}"#,
    ),
    case(
        Meaning::Account,
        402,
        r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    case(
        Meaning::Account,
        400,
        r#"{"error":{"code":"Arrearage","message":"Access denied.","param":null,"type":"Arrearage"},"request_id":"r"}"#,
    ),
    case(
        Meaning::Account,
        429,
        r#"{"error":{"message":"Your account o-1 <x> is suspended, see the plan","type":"exceeded_current_quota_error"}}"#,
    ),
    case(
        Meaning::Account,
        412,
        r#"{"error":{"object":"error","type":"invalid_request_error","code":"PRECONDITION_FAILED","message":"Account acme is suspended, perhaps since you did not pay past invoices."}}"#,
    ),
    case(Meaning::Account, 402, r#"{"error":{"message":"Insufficient credits. Add more.","code":402}}"#),
    case(
        Meaning::Account,
        403,
        r#"{"code":30001,"message":"Sorry, your account balance is insufficient","data":null}"#,
    ),
    case(
        Meaning::Account,
        403,
        r#"{"message":"Access is denied: INVALID_PAYMENT: a valid payment instrument must be provided."}"#,
    ),
    case(
        Meaning::Account,
        429,
        r#"{"error":{"message":"x","type":"rate_limit_error","param":null,"code":"project_spend_limit_exceeded"}}"#,
    ),
    case(
        Meaning::Account,
        429,
        r#"{"error":{"message":"x","type":"invalid_request_error","code":"credit_balance_exhausted"}}"#,
    ),
    case(
        Meaning::Account,
        403,
        r#"{"error":{"message":"You've reached your usage limit for this billing cycle","type":"permission_error"}}"#,
    ),
    case(Meaning::Account, 403, r#"{"code":"x","error":"Your new team doesn't have any credits or licenses yet."}"#),
    // Key.
    case(
        Meaning::Key,
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-a***z.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
    ),
    case(
        Meaning::Key,
        401,
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
    ),
    case(
        Meaning::Key,
        400,
        r#"[{"error":{"code":400,"message":"The key was not taken.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}]"#,
    ),
    case(
        Meaning::Key,
        400,
        r#"{"error":{"code":400,"message":"API key expired. Please renew it.","status":"INVALID_ARGUMENT"}}"#,
    ),
    case(
        Meaning::Key,
        403,
        r#"[{"error":{"code":403,"message":"Your API key was reported as leaked.","status":"PERMISSION_DENIED"}}]"#,
    ),
    case(
        Meaning::Key,
        400,
        r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***. Get one from the console."}"#,
    ),
    case(
        Meaning::Key,
        401,
        r#"{"error":{"message":"Wrong API Key","type":"invalid_request_error","param":"","code":"wrong_api_key"}}"#,
    ),
    case(
        Meaning::Key,
        403,
        r#"{"message":"The security token included in the request is invalid.","__type":"UnrecognizedClientException"}"#,
    ),
    case(Meaning::Key, 401, r#"{"error":{"message":"Invalid Authentication","type":"invalid_authentication_error"}}"#),
    case(Meaning::Key, 400, "data: {\"error\":{\"message\":\"x\",\"code\":\"invalid_api_key\"}}\n\n"),
    case(Meaning::Key, 401, r#"{"error":{"message":"User not found.","code":401}}"#),
    case(Meaning::Key, 400, r#"{"error":{"message":"No.","code":"401"}}"#),
    // Region.
    case(
        Meaning::Region,
        403,
        r#"{"error":{"code":"unsupported_country_region_territory","message":"x","param":null,"type":"request_forbidden"}}"#,
    ),
    case(
        Meaning::Region,
        400,
        r#"[{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}]"#,
    ),
    case(
        Meaning::Region,
        400,
        r#"{"message":"Access to these models is not allowed from unsupported countries or territories."}"#,
    ),
    case(Meaning::Region, 403, r#"{"error":{"type":"forbidden","message":"Request not allowed"}}"#),
    // Model.
    case(
        Meaning::Model,
        404,
        r#"{"error":{"message":"The model `m-9` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
    ),
    case(
        Meaning::Model,
        400,
        r#"{"error":{"message":"The model `m-9` has been decommissioned and is gone.","type":"invalid_request_error","code":"model_decommissioned"}}"#,
    ),
    case(
        Meaning::Model,
        400,
        r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    case(
        Meaning::Model,
        400,
        r#"{"object":"error","message":"Invalid model: m-9","type":"invalid_model","param":null,"code":"1500"}"#,
    ),
    case(
        Meaning::Model,
        404,
        r#"[{"error":{"code":404,"message":"models/m-9 is not found for API version v1, or has no such method.","status":"NOT_FOUND"}}]"#,
    ),
    case(Meaning::Model, 404, r#"{"type":"error","error":{"type":"not_found_error","message":"model: m-9"}}"#),
    case(Meaning::Model, 404, r#"{"error":{"code":"DeploymentNotFound","message":"There is no such deployment."}}"#),
    case(Meaning::Model, 400, r#"{"message":"The provided model identifier is invalid."}"#),
    case(Meaning::Model, 400, r#"{"error":{"message":"m-9 is not a valid model ID","code":400}}"#),
    case(Meaning::Model, 400, r#"{"code":20012,"message":"Model does not exist. Please check it.","data":null}"#),
    // Context.
    case(
        Meaning::ContextLength,
        400,
        r#"{"error":{"message":"x","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    case(
        Meaning::ContextLength,
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}"#,
    ),
    case(
        Meaning::ContextLength,
        413,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}"#,
    ),
    case(
        Meaning::ContextLength,
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 5 + 4 > 8"}}"#,
    ),
    case(
        Meaning::ContextLength,
        400,
        r#"[{"error":{"code":400,"message":"The input token count (120011) exceeds the maximum number of tokens allowed (100000).","status":"INVALID_ARGUMENT"}}]"#,
    ),
    case(
        Meaning::ContextLength,
        400,
        r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 8 but the request contains 9 tokens."}"#,
    ),
    case(
        Meaning::ContextLength,
        400,
        r#"{"error":{"code":400,"message":"the request is larger than that","type":"exceed_context_size_error","n_ctx":8}}"#,
    ),
    case(
        Meaning::ContextLength,
        403,
        r#"{"id":"1","error":{"message":"Input has 9 tokens, above the model's maximum context of 8","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    case(
        Meaning::ContextLength,
        422,
        r#"{"error":{"message":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8. Given: 5 `inputs` tokens and 4 `max_new_tokens`","type":"invalid_request_error"}}"#,
    ),
    case(Meaning::ContextLength, 400, r#"{"message":"Input is too long for requested model."}"#),
    case(Meaning::ContextLength, 400, r#"{"message":"too many tokens: size limit exceeded by 1 tokens"}"#),
    case(
        Meaning::ContextLength,
        400,
        r#"{"error":{"message":"Invalid request: Your request exceeded model token limit: 8","type":"invalid_request_error"}}"#,
    ),
    case(
        Meaning::ContextLength,
        400,
        r#"{"error":{"message":"The decoder prompt (length 9) is longer than the maximum model length of 8.","type":"BadRequestError","param":null,"code":400}}"#,
    ),
    case(
        Meaning::ContextLength,
        400,
        r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"provider_name":"X","raw":"{\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}"}}}"#,
    ),
    // Rate.
    case(
        Meaning::RateLimit,
        429,
        r#"{"error":{"message":"Slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
    ),
    case(
        Meaning::RateLimit,
        429,
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"This would exceed your rate."}}"#,
    ),
    case(
        Meaning::RateLimit,
        400,
        r#"{"error":{"message":"Slow down","type":"invalid_request_error","code":"rate_limit_exceeded"}}"#,
    ),
    case(Meaning::RateLimit, 429, r#"{"error":{"code":429,"message":"Rate limit exceeded: per minute"}}"#),
    case(
        Meaning::RateLimit,
        429,
        r#"[{"error":{"code":429,"message":"Resource has been exhausted.","status":"RESOURCE_EXHAUSTED"}}]"#,
    ),
    case(
        Meaning::RateLimit,
        429,
        r#"{"error":{"message":"x","type":"too_many_tokens_error","code":"token_quota_exceeded"}}"#,
    ),
    case(
        Meaning::RateLimit,
        429,
        r#"{"message":"Too many tokens, please wait before trying again.","__type":"ThrottlingException"}"#,
    ),
    case(Meaning::RateLimit, 429, r#"{"error":{"code":"Throttling.RateQuota","message":"x"}}"#),
    case(Meaning::RateLimit, 400, r#"{"error":{"message":"Later.","code":"429"}}"#),
    // Content policy.
    case(
        Meaning::ContentPolicy,
        400,
        r#"{"error":{"message":"x","type":"invalid_request_error","param":"prompt","code":"content_policy_violation"}}"#,
    ),
    case(
        Meaning::ContentPolicy,
        400,
        r#"{"error":{"message":"The prompt triggered the content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
    ),
    case(
        Meaning::ContentPolicy,
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
    ),
    case(
        Meaning::ContentPolicy,
        403,
        r#"{"code":"The caller does not have permission","error":"Content violates usage guidelines."}"#,
    ),
    case(
        Meaning::ContentPolicy,
        400,
        r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    case(
        Meaning::ContentPolicy,
        400,
        r#"{"error":{"message":"x","type":"data_inspection_failed","code":"data_inspection_failed"}}"#,
    ),
    // This one request's.
    case(
        Meaning::Flagged,
        403,
        r#"{"error":{"message":"Not that.","code":403,"metadata":{"reasons":["violence"],"flagged_input":"x","provider_name":"X"}}}"#,
    ),
    case(
        Meaning::Unaffordable,
        402,
        r#"{"error":{"message":"You asked for up to 7900 tokens, but can only afford 900. Buy more.","code":402}}"#,
    ),
    case(
        Meaning::ThisRequest,
        404,
        r#"{"error":{"message":"No endpoints found that support tool use. See the docs.","code":404}}"#,
    ),
    case(
        Meaning::ThisRequest,
        404,
        r#"{"error":{"message":"No endpoints found that support image input","code":404}}"#,
    ),
    case(
        Meaning::Unaffordable,
        402,
        r#"{"type":"error","error":{"type":"billing_error","message":"You asked for much, but can only afford 900."}}"#,
    ),
    // The rest.
    case(
        Meaning::Refused,
        400,
        r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.2.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
    ),
    case(
        Meaning::Refused,
        400,
        r#"[{"error":{"code":400,"message":"Function call is missing a thought_signature.","status":"INVALID_ARGUMENT"}}]"#,
    ),
    case(
        Meaning::Refused,
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"tools.0.custom.input_schema: no anyOf at the top level"}}"#,
    ),
    case(Meaning::Overload, 529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#),
    case(
        Meaning::Overload,
        503,
        r#"[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]"#,
    ),
    case(
        Meaning::Trouble,
        500,
        r#"{"error":{"message":"Internal error","type":"server_error","param":null,"code":null}}"#,
    ),
];

/// Errors whose status, or the lack of words beside it, is part of what they mean.
pub const BY_STATUS: &[Case] = &[
    case(
        Meaning::AboveRate,
        413,
        r#"{"error":{"message":"Request too large for model `m` in organization `o` on tokens per minute (TPM): Limit 8, Requested 9","type":"tokens","code":"rate_limit_exceeded"}}"#,
    ),
    case(
        Meaning::AboveRate,
        429,
        r#"{"error":{"message":"Request too large for m in organization o on tokens per min (TPM): Limit 8, Requested 9.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
    ),
    case(
        Meaning::TooLarge,
        413,
        r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
    ),
    case(Meaning::TooLarge, 413, "<html><h1>413 Request Entity Too Large</h1></html>"),
    case(Meaning::TooLarge, 413, ""),
    case(Meaning::HeadTooLarge, 431, "<html>"),
    case(Meaning::Key, 401, ""),
    case(Meaning::Key, 401, "<html>401 Authorization Required</html>"),
    case(Meaning::Key, 403, r#"{"error":{"message":"Forbidden","type":"permission_error"}}"#),
    case(Meaning::Unknown, 403, "<!DOCTYPE html><h1>Access denied</h1>"),
    case(Meaning::Unknown, 403, "error code: 1020"),
    case(Meaning::Unknown, 404, "<html><h1>404 Not Found</h1></html>"),
    case(Meaning::Unknown, 404, ""),
    case(
        Meaning::ThisRequest,
        404,
        r#"{"error":{"message":"No such file: f-1","type":"invalid_request_error","param":"messages[0].content","code":null}}"#,
    ),
    case(Meaning::Unknown, 302, ""),
    case(Meaning::Trouble, 409, r#"{"type":"error","error":{"type":"conflict_error","message":"x"}}"#),
    case(Meaning::Trouble, 408, ""),
    case(Meaning::Trouble, 504, "<html>"),
    case(Meaning::RateLimit, 429, ""),
    case(
        Meaning::RateLimit,
        429,
        r#"[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"x","retryDelay":"30s"}]}}]"#,
    ),
    case(Meaning::Account, 402, ""),
    case(
        Meaning::Account,
        429,
        r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details."}}"#,
    ),
    case(Meaning::Refused, 400, "<html>400 Bad Request</html>"),
    case(
        Meaning::Refused,
        422,
        r#"{"detail":[{"loc":["body","temperature"],"msg":"Input should be less than 2","type":"less_than"}]}"#,
    ),
];

/// Refused requests whose words look like something else.
pub const REFUSED: &[&str] = &[
    r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.2 with this model.","param":"temperature","code":"unsupported_value"}}"#,
    r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model.","param":"max_tokens","code":"unsupported_parameter"}}"#,
    r#"{"error":{"message":"Invalid value: 'your credit balance is too low'. Supported values are: 'auto' and 'none'.","param":"tool_choice"}}"#,
    r#"{"error":{"message":"Invalid value: \"he said \"invalid api key\" to me\" is not an object"}}"#,
    r#"{"error":{"message":"Invalid schema for function `set_spend_limit`: True is not of type 'object'","param":"tools[0].function.parameters","code":"invalid_function_parameters"}}"#,
    r#"{"error":{"message":"Invalid schema for function 'f': in context=('properties', 'rate limit exceeded'), 'items' missing"}}"#,
    r#"{"error":{"message":"messages.0: the text API key not valid is too short","param":"messages[0].content"}}"#,
    r#"{"error":{"message":"Tool get_model does not exist"}}"#,
    r#"{"error":{"message":"The tool that the model called, f, does not exist"}}"#,
    r#"{"error":{"message":"web_search.user_location is not supported","param":"tools"}}"#,
    r#"{"error":{"message":"JSON mode with model m-9 is not supported"}}"#,
    r#"{"error":{"message":"m-9 does not support tools","type":"api_error"}}"#,
    r#"{"error":{"message":"max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for m-9","type":"invalid_request_error"}}"#,
    r#"{"error":{"message":"Unrecognized request argument supplied: context_length"}}"#,
    r#"{"error":{"message":"Invalid 'messages[0].content': string too long. Expected a string with maximum length 10.","param":"messages[0].content","code":"string_above_max_length"}}"#,
    r#"{"error":{"message":"The parameter top_k is deprecated for model m-9","type":"invalid_request_error"}}"#,
    r#"{"error":{"message":"Invalid token at position 5 of the body","type":"invalid_request_error"}}"#,
    r#"{"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"you exceeded your current quota"}}"#,
    r#"{"detail":[{"loc":["body","messages"],"msg":"Field required","input":"insufficient credits"}]}"#,
    r#"{"error":{"message":"Try again in 5s with a valid body"}}"#,
    r#"{"error":{"message":"`stop` is not supported by this model's reasoning","param":"stop"}}"#,
    r#"{"type":"error","error":{"type":"invalid_request_error","message":"tools.0.custom.x credit balance is too low: Extra inputs are not permitted"}}"#,
    r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages.1.content.0.invalid api key: Extra inputs are not permitted"}}"#,
    r#"{"detail":[{"loc":["body","a","rate limit exceeded"],"msg":"Extra inputs are not permitted"}]}"#,
    r#"{"error":{"message":"1 validation error: Input should be a string [input_value={'text': 'insufficient balance'}, input_type=dict]"}}"#,
    r#"{"error":{"message":"Invalid JSON payload received. Unknown name \"no such model\" at 'tools[0]'","status":"INVALID_ARGUMENT"}}"#,
    r#"{}"#,
];

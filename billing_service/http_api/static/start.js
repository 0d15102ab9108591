// The token goes in under "Authorize" and stays in the page's memory: reloading forgets it.
SwaggerUIBundle({
  url: "/v1/openapi.json",
  dom_id: "#ui",
  docExpansion: "none",
  persistAuthorization: false,
  validatorUrl: null,
});

# weir-proxy. Its sources outside filter/; the filter client adds its own.

SELECT (eappend('hot-1', 'OrderItemAdded', :payload, :metadata)).stream_version;
